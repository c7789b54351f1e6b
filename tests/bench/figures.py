"""What a measurement gives, and how it is told."""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

Step = Callable[[str], None]  # called before each sample, with what is being done


class Figure(NamedTuple):
    """`ours` and `by_hand` are samples in `unit`; without `by_hand` there is nothing to compare with."""

    what: str
    unit: str
    ours: tuple[float, ...]
    by_hand: tuple[float, ...] = ()
    against: str = ""

    @property
    def ratio(self) -> float | None:
        return median(self.ours) / median(self.by_hand) if self.by_hand else None


def as_json(figure: Figure) -> dict[str, Any]:
    medians = {"median": median(figure.ours), "median_by_hand": median(figure.by_hand) if figure.by_hand else None}
    return {**figure._asdict(), **medians, "ratio": figure.ratio}


def show(console: Console, figures: Sequence[Figure]) -> None:
    table = Table(box=box.SIMPLE_HEAD, title="Medians (least to most)", title_justify="left")
    table.add_column("what")
    for name in ("zkboot", "by hand", "ratio"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("by hand is")
    for figure in figures:
        ratio = f"{figure.ratio:.2f}" if figure.ratio is not None else ""
        table.add_row(figure.what, told(figure.ours, figure.unit), told(figure.by_hand, figure.unit), ratio, figure.against)
    console.print(table)


def told(samples: Sequence[float], unit: str) -> str:
    if not samples:
        return ""
    least, middle, most = min(samples), median(samples), max(samples)
    if least == most:
        return f"{middle:,.0f} {unit}" if middle == int(middle) else f"{middle:,.3g} {unit}"
    digits = 0 if most >= 100 else 1 if most >= 10 else 2
    return f"{middle:.{digits}f} {unit} ({least:.{digits}f} to {most:.{digits}f})"
