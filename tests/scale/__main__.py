"""`python -m tests.scale`: measure a turn of 3 to 255 members, and beside up to 1,000 clusters; a table, and a page."""

import argparse
import sys

from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench import machine
from tests.demo import interrupts
from tests.lab.machines import CHECKOUT
from tests.report import page, plot
from tests.scale.measure import CLUSTERS, SIZES, Cost, Row, cost, measure
from tests.scale.world import ensemble, other_clusters

FILE = CHECKOUT / "build/scale.html"
COLUMNS = (
    "members",
    "record",
    "to parse it",
    "policy",
    "calls, healthy",
    "bytes, healthy",
    "turn, healthy",
    "calls, no quorum",
    "bytes, no quorum",
    "turn, no quorum",
)


def main() -> int:
    argparse.ArgumentParser(prog="python -m tests.scale", description=(__doc__ or "").partition(": ")[2]).parse_args()
    interrupts.catch()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 170)
    rows = []
    for size in SIZES:
        with ensemble(size) as of:
            rows.append(measure(of))
        console.print(f"{size} members: {rows[-1].healthy.called} calls, {rows[-1].alone.called} without a quorum")
    crowded = clusters()
    console.print(table(COLUMNS, [cells(row) for row in rows]))
    console.print(table(("clusters in the bucket", "calls, healthy", "calls, no quorum"), crowded_cells(crowded)))
    write(rows, crowded)
    console.print(f"the page: {FILE.relative_to(CHECKOUT)}")
    return 0


def clusters() -> dict[int, tuple[Cost, Cost]]:
    """Of an ensemble of three, as other clusters come into its bucket."""
    found = {}
    with ensemble(3) as of:
        for count in CLUSTERS:
            other_clusters(count - 1)
            found[count] = cost(of, serves=True), cost(of, serves=False)
    return found


def cells(row: Row) -> list[str]:
    return [
        str(row.members),
        f"{row.record:,} B",
        f"{row.parse:.2f} ms",
        f"{row.healthy.decide:.2f} ms",
        *(text for c in (row.healthy, row.alone) for text in (str(c.called), f"{c.bytes:,}", f"{c.turn:.0f} ms")),
    ]


def crowded_cells(crowded: dict[int, tuple[Cost, Cost]]) -> list[list[str]]:
    return [[f"{count:,}", str(healthy.called), str(alone.called)] for count, (healthy, alone) in crowded.items()]


def table(columns: tuple[str, ...], rows: list[list[str]]) -> Table:
    found = Table(box=box.SIMPLE_HEAD)
    for name in columns:
        found.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        found.add_row(*row)
    return found


def write(rows: list[Row], crowded: dict[int, tuple[Cost, Cost]]) -> None:
    def of(value: str, unit: str, points: list[float]) -> tuple[str, plot.Line]:
        return f"{value}, {unit}", plot.line([(row.members, point) for row, point in zip(rows, points, strict=True)])

    plots = [
        of("The record", "KiB", [row.record / 1024 for row in rows]),
        of("The policy, decide()", "ms of CPU", [row.healthy.decide for row in rows]),
        of("AWS calls of a healthy leader's audit", "calls", [row.healthy.called for row in rows]),
        of("AWS calls of a turn without a quorum", "calls", [row.alone.called for row in rows]),
        of("A healthy leader's audit", "ms of CPU", [row.healthy.turn for row in rows]),
        of("A turn without a quorum", "ms of CPU", [row.alone.turn for row in rows]),
        of("What a healthy leader's audit reads", "KiB", [row.healthy.bytes / 1024 for row in rows]),
        of("What a turn without a quorum reads", "KiB", [row.alone.bytes / 1024 for row in rows]),
    ]
    calls = [(count, alone.called) for count, (_, alone) in crowded.items()]
    plots.append(("AWS calls of a turn without a quorum, as other clusters share the bucket", plot.line(calls)))
    page.write(
        FILE,
        "scale.html.j2",
        title="zkboot: what a turn costs as the ensemble grows",
        plots=plots,
        columns=COLUMNS,
        rows=[cells(row) for row in rows],
        clusters=crowded_cells(crowded),
        machine="; ".join(f"{name}: {text}" for name, text in machine.describe().items()),
    )


if __name__ == "__main__":
    sys.exit(main())
