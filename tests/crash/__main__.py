"""`python -m tests.crash [--only WORDS] [--once] [--again]`: play what is not played yet, a line for each case, then a table.

--only join,reseed/before   cases whose name begins so: STORY/WHEN:STEP:HOW
--once                      the fixed choice of `make test`: each step once
--again                     forget what earlier runs have played

Results are kept in build/crash.jsonl, line by line: a run that was stopped goes on where it was. Ends with 1 when a case had a
problem, or when a step of the code is in no story.
"""

import argparse
import json
import logging
import sys
import time
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from tests.crash.choice import ONCE
from tests.crash.play import Case, Outcome, every_case, play
from tests.crash.steps import steps_in_code
from tests.crash.stories import UNTOLD, told_steps
from tests.demo import interrupts
from tests.lab.machines import CHECKOUT
from tests.scenarios.stage import Stage

RESULTS = CHECKOUT / "build/crash.jsonl"
WIDTH = 150  # columns, where there is no terminal


def main() -> int:
    options = parse()
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)
    interrupts.catch()
    console = Console(highlight=False, emoji=False, markup=False, width=None if sys.stdout.isatty() else WIDTH)
    left_out = steps_in_code() - told_steps() - UNTOLD.keys()
    if left_out:
        console.print(f"steps in no story of tests/crash/stories.py: {', '.join(sorted(left_out))}")
        return 1
    cases = [case for case in (ONCE if options.once else every_case()) if case.name.startswith(tuple(options.only.split(",")))]
    if options.again:
        RESULTS.unlink(missing_ok=True)
    try:
        outcomes = play_all(console, cases)
    except KeyboardInterrupt:
        console.print(f"stopped: nothing that was started is left; the next run goes on from {RESULTS.relative_to(CHECKOUT)}")
        return 130
    console.print(table(outcomes))
    for step, why in UNTOLD.items():
        console.print(f"not stopped at: {step} ({why})", soft_wrap=True)
    bad = [outcome for outcome in outcomes if outcome.problem]
    console.print(
        f"{len(outcomes)} cases, {len(bad)} with a problem, {sum(o.acknowledged for o in outcomes)} writes acknowledged"
    )
    return 1 if bad else 0


def play_all(console: Console, cases: list[Case]) -> list[Outcome]:
    known = played_before()
    outcomes = []
    stage = Stage()
    try:
        for number, case in enumerate(cases, 1):
            outcome = known.get(case.name)
            if outcome is None:
                began = time.monotonic()
                outcome = play(stage, case)
                keep(outcome)
                console.print(f"{number:4}/{len(cases)}  {line(outcome)}  ({time.monotonic() - began:.0f} s)", soft_wrap=True)
            outcomes.append(outcome)
    finally:
        stage.close()
    return outcomes


def line(outcome: Outcome) -> str:
    if outcome.problem:
        return f"{outcome.case}: PROBLEM: {outcome.problem}"
    return f"{outcome.case}: healed after {outcome.healed:.1f} s, {outcome.acknowledged} writes, {outcome.lost} lost"


def played_before() -> dict[str, Outcome]:
    """What went well in earlier runs, by the case's name; what had a problem is played again."""
    if not RESULTS.exists():
        return {}
    found = [Outcome(**json.loads(line)) for line in RESULTS.read_text().splitlines()]
    return {outcome.case: outcome for outcome in found if not outcome.problem}


def keep(outcome: Outcome, file: Path = RESULTS) -> None:
    file.parent.mkdir(exist_ok=True)
    with open(file, "a", encoding="utf-8") as results:
        results.write(json.dumps(outcome._asdict()) + "\n")


def table(outcomes: list[Outcome]) -> Table:
    found = Table(box=box.SIMPLE_HEAD)
    for name in ("story", "step", "when", "how"):
        found.add_column(name)
    for name in ("healed after", "writes", "lost", "longest gap"):
        found.add_column(name, justify="right", no_wrap=True)
    for outcome in outcomes:
        story, _, orders = outcome.case.partition("/")
        for order in orders.split(","):
            when, step, how = order.split(":")
            figures = [f"{outcome.healed:.1f} s", str(outcome.acknowledged), str(outcome.lost), f"{outcome.longest_gap:.1f} s"]
            found.add_row(story, step, when, how, *(["PROBLEM", "", "", ""] if outcome.problem else figures))
    return found


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.crash", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", metavar="WORDS")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--again", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
