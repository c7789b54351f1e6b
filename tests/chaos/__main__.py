"""`python -m tests.chaos [--only WORDS] [--report] [--again]`: play the cells that are not played yet, and write the report.

--only under writes,backup/power    cells whose name begins so: MOMENT/FAULT/WHO
--report                            play nothing: write the report of what was played
--again                             forget what earlier runs have played

Results are kept in build/chaos.jsonl, line by line: a run that was stopped goes on where it was; the report is build/chaos.html.
Ends with 1 when a cell had a problem.
"""

import argparse
import logging
import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tests.bench import machine
from tests.chaos import report
from tests.chaos.cells import Cell, every_cell
from tests.chaos.outcome import HALTED, IMPOSSIBLE, PROBLEM, RESULTS, Outcome, keep, kept
from tests.chaos.play import Lab, play
from tests.demo import interrupts
from tests.lab.machines import CHECKOUT


def main() -> int:
    options = parse()
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)
    interrupts.catch()
    console = Console(highlight=False, emoji=False, markup=False, width=None if sys.stdout.isatty() else 160)
    if options.again:
        RESULTS.unlink(missing_ok=True)
    known = {name: outcome for name, outcome in kept().items() if outcome.kind != PROBLEM or options.report}
    wanted = [] if options.report else [cell for cell in every_cell() if cell.name.startswith(tuple(options.only.split(",")))]
    left = [cell for cell in wanted if cell.name not in known]
    try:
        if left:
            play_all(console, left, len(wanted))
    except KeyboardInterrupt:
        console.print(f"stopped: nothing that was started is left; the next run goes on from {RESULTS.relative_to(CHECKOUT)}")
        return 130
    finally:
        report.write(kept(), "; ".join(f"{name}: {text}" for name, text in machine.describe().items()))
        console.print(f"the report: {report.FILE.relative_to(CHECKOUT)}")
    bad = [outcome for outcome in kept().values() if outcome.kind == PROBLEM]
    console.print(f"{len(kept())} of {len(every_cell())} cells played, {len(bad)} with a problem")
    return 1 if bad else 0


def play_all(console: Console, cells: list[Cell], wanted: int) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    lab = Lab()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=wanted, completed=wanted - len(cells))
        try:
            for cell in cells:
                progress.update(task, description=cell.name)
                outcome = play(lab, cell)
                keep(outcome)
                console.print(line(outcome), soft_wrap=True)
                progress.advance(task)
        finally:
            lab.forget()


def line(outcome: Outcome) -> str:
    if outcome.kind in (IMPOSSIBLE, PROBLEM):
        return f"{outcome.cell}: {outcome.kind}: {outcome.why}"
    healed = outcome.kind if outcome.kind == HALTED else f"healed after {outcome.time_to_heal:.1f} s"
    figures = f"{outcome.acknowledged} writes, {outcome.lost} lost, longest gap {outcome.longest_gap:.1f} s"
    return f"{outcome.cell}: {healed}, {figures} ({outcome.took:.0f} s): {outcome.sentence}"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", metavar="WORDS")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--again", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
