"""The geometry of plots, by hand: numbers for a template's SVG."""

from collections.abc import Sequence
from typing import NamedTuple

WIDTH, HEIGHT = 900, 190
LEFT, TOP, BOTTOM = 34, 32, 18
LABEL = 60  # the least distance of two events whose texts may stand in one line


class Plot(NamedTuple):
    """Bars over time, in the SVG's units."""

    width: int
    height: int
    left: int
    top: int
    tall: int
    bars: list[tuple[float, float, float, float]]  # x, y, width, height
    rows: list[tuple[float, str]]  # y, text
    columns: list[tuple[float, str]]  # x, text
    bands: list[tuple[float, float]]  # x, width
    events: list[tuple[float, str, str, int]]  # x, class, text, line of the text


def bars(
    rates: Sequence[float], width: float, events: Sequence[tuple[float, str, str]], bands: Sequence[tuple[float, float]]
) -> Plot:
    """`rates` one after the other, each of `width` seconds; events are (second, class, text), bands (begin, end) in seconds."""
    seconds = max(len(rates) * width, 1.0, *(event[0] for event in events))
    most = nice(max([*rates, 1.0]))
    tall = HEIGHT - TOP - BOTTOM

    def x(second: float) -> float:
        return round(LEFT + second / seconds * (WIDTH - LEFT - 40), 1)

    def y(rate: float) -> float:
        return round(TOP + tall * (1 - rate / most), 1)

    step = nice(seconds / 10)
    return Plot(
        WIDTH,
        HEIGHT,
        LEFT,
        TOP,
        tall,
        [
            (x(i * width), y(rate), max(round(x((i + 1) * width) - x(i * width) - 0.6, 1), 0.4), round(TOP + tall - y(rate), 1))
            for i, rate in enumerate(rates)
            if rate
        ],
        [(y(most * part), f"{most * part:g}") for part in (0, 0.5, 1)],
        [(x(i * step), f"{i * step:g}") for i in range(int(seconds / step) + 1)],
        [(x(begin), round(x(end) - x(begin), 1)) for begin, end in bands if end > begin],
        in_lines([(x(second), look, text) for second, look, text in events]),
    )


def in_lines(events: Sequence[tuple[float, str, str]]) -> list[tuple[float, str, str, int]]:
    """Texts that would overlap stand one above the other."""
    placed: list[tuple[float, str, str, int]] = []
    for x, look, text in sorted(events):
        near = placed and x - placed[-1][0] < LABEL and placed[-1][3] == 1
        placed.append((x, look, text, 0 if near else 1))
    return placed


def nice(value: float) -> float:
    """The least of 1, 2, 5, 10, 20, … that is not below `value`."""
    step = 0.001
    while True:
        for factor in (1, 2, 5):
            if step * factor >= value:
                return step * factor
        step *= 10


class Curve(NamedTuple):
    """For a glance, in a box of 100 by 30: a filled path, and where something happened."""

    path: str
    marks: list[tuple[float, str]]  # x, class


def curve(counts: Sequence[float], width: float, marks: Sequence[tuple[float, str]]) -> Curve | None:
    """`counts` one after the other, each of `width` seconds; marks are (second, class). None where nothing is counted."""
    if not counts:
        return None
    most, last = max(*counts, 1), max(len(counts) - 1, 1)
    points = [f"{100 * i / last:.1f},{30 - 28 * count / most:.1f}" for i, count in enumerate(counts)]
    placed = [(round(min(100 * second / width / last, 100.0), 1), look) for second, look in marks if second >= 0]
    return Curve(f"M0,30L{'L'.join(points)}L100,30Z", placed)


class Line(NamedTuple):
    """Points over a number, joined; `straight` is proportion to the last point."""

    width: int
    height: int
    left: int
    path: str
    points: list[tuple[float, float]]
    straight: tuple[float, float, float, float]  # x1, y1, x2, y2
    rows: list[tuple[float, str]]  # y, text
    columns: list[tuple[float, str]]  # x, text


def line(points: Sequence[tuple[float, float]], width: int = 420, height: int = 190) -> Line:
    """Both axes begin at 0."""
    left, top, bottom = 48, 10, 20
    furthest, most = max(x for x, _ in points), nice(max(y for _, y in points))

    def at(point: tuple[float, float]) -> tuple[float, float]:
        x, y = point
        return (
            round(left + x / furthest * (width - left - 12), 1),
            round(height - bottom - y / most * (height - top - bottom), 1),
        )

    placed = [at(point) for point in points]
    return Line(
        width,
        height,
        left,
        "M" + "L".join(f"{x},{y}" for x, y in placed),
        placed,
        (*at((0, 0)), *at(max(points))),
        [(at((0, most * part))[1], f"{most * part:g}") for part in (0, 0.5, 1)],
        [(at((x, 0))[0], f"{x:g}") for x in sorted({0, furthest, *(x for x, _ in points if x > furthest / 5)})],
    )
