"""`python -m tests.crash [--only WORDS] [--once] [--again]`: play what is not played yet, a line for each case, then a table.

--only join,reseed/before   cases whose name begins so: STORY/WHEN:STEP:HOW
--once                      the fixed choice of `make test`: each step once, a chain of them in each story
--again                     forget what earlier runs have played

Results are kept in build/crash.jsonl, line by line: a run that was stopped goes on where it was, and what had a problem is played
again. Ends with 1 when a case had a problem, or when a step of the code is in no story.
"""

import sys

from rich import box
from rich.console import Console
from rich.table import Table

from tests.crash.choice import ONCE
from tests.crash.play import Outcome, every_case, new_stage, play
from tests.crash.steps import steps_in_code
from tests.crash.stories import told_steps
from tests.lab.machines import CHECKOUT
from tests.report import played

RESULTS = played.Results(CHECKOUT / "build/crash.jsonl", lambda fields: Outcome(**fields))


def main() -> int:
    parser = played.parser("python -m tests.crash", __doc__ or "")
    parser.add_argument("--once", action="store_true")
    options = parser.parse_args()
    console = played.console()
    left_out = steps_in_code() - told_steps()
    if left_out:
        console.print(f"steps in no story of tests/crash/stories.py: {', '.join(sorted(left_out))}")
        return 1
    if options.again:
        RESULTS.forget()
    cases = played.chosen(ONCE if options.once else every_case(), options.only)
    stage = new_stage()
    try:
        played.play_all(console, RESULTS, cases, lambda case: play(stage, case))
    except played.Stopped:
        return 130
    finally:
        stage.close()
    return told(console, [RESULTS.kept()[case.name] for case in cases])


def told(console: Console, outcomes: list[Outcome]) -> int:
    console.print(table(outcomes))
    bad = sum(outcome.bad for outcome in outcomes)
    console.print(f"{len(outcomes)} cases, {bad} with a problem, {sum(o.acknowledged for o in outcomes)} writes acknowledged")
    return 1 if bad else 0


def table(outcomes: list[Outcome]) -> Table:
    found = Table(box=box.SIMPLE_HEAD)
    for name in ("story", "step", "when", "how"):
        found.add_column(name)
    for name in ("healed after", "writes", "lost", "longest gap"):
        found.add_column(name, justify="right", no_wrap=True)
    for outcome in outcomes:
        story, _, orders = outcome.name.partition("/")
        for order in orders.split("+"):
            when, step, how = order.split(":")
            figures = [f"{outcome.healed:.1f} s", str(outcome.acknowledged), str(outcome.lost), f"{outcome.longest_gap:.1f} s"]
            found.add_row(story, step, when, how, *(["PROBLEM", "", "", ""] if outcome.bad else figures))
    return found


if __name__ == "__main__":
    sys.exit(main())
