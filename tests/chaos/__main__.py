"""`python -m tests.chaos [--only WORDS] [--report] [--again]`: play the cells that are not played yet, and write the report.

--only under writes,backup/power    cells whose name begins so: MOMENT/FAULT/WHO
--report                            play nothing: write the report of what was played
--again                             forget what earlier runs have played

Results are kept in build/chaos.jsonl, line by line: a run that was stopped goes on where it was; the report is build/chaos.html.
Ends with 1 when a cell had a problem.
"""

import sys

from tests.bench import machine
from tests.chaos import report
from tests.chaos.cells import every_cell
from tests.chaos.outcome import RESULTS
from tests.chaos.play import Lab, play
from tests.lab.machines import CHECKOUT
from tests.report import played


def main() -> int:
    parser = played.parser("python -m tests.chaos", __doc__ or "")
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    console = played.console()
    if options.again:
        RESULTS.forget()
    cells = [] if options.report else played.chosen(every_cell(), options.only)
    lab = Lab()
    try:
        played.play_all(console, RESULTS, cells, lambda cell: play(lab, cell))
    except played.Stopped:
        return 130
    finally:
        lab.forget()
        report.write(RESULTS.kept(), "; ".join(f"{name}: {text}" for name, text in machine.describe().items()))
        console.print(f"the report: {report.FILE.relative_to(CHECKOUT)}")
    outcomes = RESULTS.kept().values()
    bad = sum(outcome.bad for outcome in outcomes)
    console.print(f"{len(outcomes)} of {len(every_cell())} cells played, {bad} with a problem")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
