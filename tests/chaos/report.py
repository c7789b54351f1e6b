"""The matrix as one page: a square for each run, and behind it the run itself."""

import re
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from tests.chaos.cells import FAULTS, MOMENTS, WHO, Cell, every_cell
from tests.chaos.outcome import BIN, HALTED, HEALED, IMPOSSIBLE, LOST, PROBLEM, Outcome
from tests.lab.machines import CHECKOUT
from tests.report import page, plot

FILE = CHECKOUT / "build/chaos.html"
NOTHING_SAID = "nothing: no turn had a reason to"
FIRST = Cell("majority", "power", "under writes")  # is shown until another is chosen
SHADES = (2.0, 10.0, 20.0, 40.0)  # seconds to heal: up to each a deeper shade, and one beyond
LEGEND = (
    ("k1", f"healed within {SHADES[0]:g} s, or nothing to heal"),
    *((f"k{i + 2}", f"{low:g} to {high:g} s") for i, (low, high) in enumerate(pairwise(SHADES))),
    ("k5", f"longer than {SHADES[-1]:g} s"),
    ("lost", "healed; writes that no disk left held are lost, and said so"),
    ("halted", "no disk is left: it creates nothing over what was, a person decides"),
    ("impossible", "this machine cannot make that fault"),
    ("problem", "a problem"),
    ("not-run", "not run yet"),
)


class Square(NamedTuple):
    id: str = ""  # "" where there is no run
    look: str = ""
    text: str = ""
    title: str = ""
    curve: plot.Curve | None = None


class Row(NamedTuple):
    """One run in the table of its moment."""

    id: str
    fault: str
    who: str
    curve: plot.Curve | None
    look: str
    figures: list[str]  # acknowledged, lost, longest gap, time to heal
    sentence: str


def write(outcomes: dict[str, Outcome], machine: str, file: Path = FILE) -> None:
    cells = [cell for cell in every_cell() if cell.name in outcomes]
    ids = [of_page(cell) for cell in cells]
    first = FIRST if FIRST in cells else next(iter(cells), None)
    page.write(
        file,
        "chaos.html.j2",
        title="zkboot: every fault, at every moment",
        figures=totals([outcomes[cell.name] for cell in cells]),
        moments=MOMENTS,
        faults=FAULTS,
        who=WHO,
        squares={(c.moment, c.fault, c.who): square(c, outcomes.get(c.name)) for c in every_cell()},
        legend=LEGEND,
        tables={moment: [row(c, outcomes[c.name]) for c in cells if c.moment == moment] for moment in MOMENTS},
        runs=[run(cell, outcomes[cell.name], ids[i - 1], ids[(i + 1) % len(ids)]) for i, cell in enumerate(cells)],
        first=of_page(first) if first else "",
        machine=machine,
    )


def of_page(cell: Cell) -> str:
    return re.sub(r"\W+", "-", cell.name.lower())


def totals(outcomes: list[Outcome]) -> list[tuple[str, str]]:
    kinds = [outcome.kind for outcome in outcomes]
    heals = [outcome.time_to_heal for outcome in outcomes if outcome.kind in (HEALED, LOST)]
    return [
        (f"of {len(every_cell())} runs", str(len(outcomes))),
        ("healed by themselves", str(kinds.count(HEALED) + kinds.count(LOST))),
        ("left to a person, as no disk was left", str(kinds.count(HALTED))),
        ("with a problem", str(kinds.count(PROBLEM))),
        ("writes acknowledged", f"{sum(outcome.acknowledged for outcome in outcomes):,}"),
        ("of them lost where a survivor could hold them", str(sum(o.lost for o in outcomes if o.kind != LOST))),
        ("of them lost with every disk that held them", str(sum(o.lost for o in outcomes if o.kind == LOST))),
        ("median time to heal", f"{median(heals):.0f} s" if heals else "-"),
    ]


def square(cell: Cell, outcome: Outcome | None) -> Square:
    if outcome is None:
        return Square()
    look = {LOST: "lost", HALTED: "halted", IMPOSSIBLE: "impossible", PROBLEM: "problem"}.get(outcome.kind) or shade(outcome)
    texts = {HALTED: "halt", IMPOSSIBLE: "–", PROBLEM: "!", LOST: f"−{outcome.lost}"}
    text = texts.get(outcome.kind, f"{outcome.time_to_heal:.0f}")
    title = f"{WHO[cell.who]}: {cell.fault}, {cell.moment}: {outcome.kind}. {outcome.sentence or outcome.why}"
    return Square(of_page(cell), look, text, title[:300], glance(outcome))


def glance(outcome: Outcome) -> plot.Curve | None:
    return plot.curve(outcome.writes, BIN, [(outcome.struck, "event"), (outcome.ended, "end"), (outcome.healed, "healed")])


def row(cell: Cell, outcome: Outcome) -> Row:
    look, texts = square(cell, outcome).look, [text for _, text in figures(outcome)[1:]]
    told = outcome.why if outcome.kind in (IMPOSSIBLE, PROBLEM) else outcome.sentence or NOTHING_SAID
    return Row(of_page(cell), cell.fault, cell.who, glance(outcome), look, texts or ["-"] * 4, told)


def shade(outcome: Outcome) -> str:
    return f"k{1 + sum(outcome.time_to_heal > limit for limit in SHADES)}"


def run(cell: Cell, outcome: Outcome, before: str, after: str) -> dict[str, Any]:
    return {
        "id": of_page(cell),
        "before": before,
        "after": after,
        "title": f"{WHO[cell.who][0].upper()}{WHO[cell.who][1:]}: {cell.fault}, {cell.moment}",
        "story": f"{FAULTS[cell.fault][0].upper()}{FAULTS[cell.fault][1:]}. Meanwhile: {MOMENTS[cell.moment]}.",
        "figures": figures(outcome),
        "why": outcome.why,
        "plot": plotted(outcome) if outcome.writes else None,
        "said": outcome.said,
    }


def figures(outcome: Outcome) -> list[tuple[str, str]]:
    if outcome.kind == IMPOSSIBLE or outcome.struck < 0:
        return [("result", outcome.kind)]
    healed = f"{outcome.time_to_heal:.1f} s" if outcome.healed >= 0 else "-"
    lost = str(outcome.lost) if outcome.kind != HALTED else "what the disks held"
    return [
        ("result", outcome.kind),
        ("acknowledged", str(outcome.acknowledged)),
        ("lost", lost),
        ("longest gap", "nothing is written" if outcome.cell.startswith("idle/") else f"{outcome.longest_gap:.1f} s"),
        ("time to heal" + (", from the fault's end" if outcome.ended >= 0 else ""), healed),
    ]


def plotted(outcome: Outcome) -> plot.Plot:
    events = [(outcome.struck, "event", "fault")]
    if outcome.ended >= 0:
        events.append((outcome.ended, "end", "its end"))
    if outcome.healed >= 0:
        events.append((outcome.healed, "healed", "healed"))
    bands = [(outcome.struck, outcome.ended), (outcome.struck, outcome.healed)]
    return plot.bars([count / BIN for count in outcome.writes], BIN, events, bands)
