"""`python -m tests.bench [names]`: measure, and print a table (or `--json`). Takes several minutes; an idle machine is best."""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.bench import backups, ensembles, machine, majority, turns
from tests.bench.figures import Figure, Step, as_json, show
from tests.demo import interrupts
from tests.lab.errors import LabError


class Measurement(NamedTuple):
    """`steps` is how often `run` tells what it does, for each sample."""

    help: str
    run: Callable[[int, Step], Iterator[Figure]]
    steps: int


def policy(samples: int, step: Step) -> Iterator[Figure]:
    from tests.policy import space

    step("counting the policy's proved space")
    yield Figure("situations in which the policy is proved", "", (space.size(),))


def full_lab(samples: int, step: Step) -> Iterator[Figure]:
    from tests.bench.full import full

    return full(samples, step)


def of_stack(samples: int, step: Step) -> Iterator[Figure]:
    from tests.bench.stack import stack

    return stack(samples, step)


MEASUREMENTS = {
    "start": Measurement("three machines to an ensemble", ensembles.start, 3),
    "join": Measurement("one joins two", ensembles.join, 2),
    "replace": Measurement("a terminated instance is replaced", ensembles.replace, 2),
    "leader": Measurement("leader killed to the next acknowledged write", ensembles.leader, 2),
    "majority": Measurement("a majority terminated to the next acknowledged write", majority.majority, 2),
    "turn": Measurement("what a light and a whole turn cost", turns.turn, 5),
    "backup": Measurement("a backup, its reading back, what writers feel of it, and a restore", backups.backup, 17),
    "full": Measurement("booted instances (root, Linux, Packer): launch, sizes, the server's start", full_lab, 2),
    "stack": Measurement("the stack by Terraform (also its AWS provider): apply, plan, destroy", of_stack, 2),
    "policy": Measurement("the size of the proved space", policy, 1),
}


def main() -> int:
    options = parse()
    # kazoo warns of every lost connection, which is what is measured here.
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)
    interrupts.catch()
    try:
        description = machine.describe()
        figures = measure(options.names or list(MEASUREMENTS), options.samples)
    except LabError as error:
        print("\n".join([str(error), *getattr(error, "__notes__", ())]), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped: nothing that was started is left", file=sys.stderr)
        return 130
    if options.json:
        print(json.dumps({"machine": description, "figures": [as_json(figure) for figure in figures]}, indent=1))
        return 0
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    for name, text in description.items():
        console.print(f"{name}: {text}")
    show(console, figures)
    return 0


def measure(names: list[str], samples: int) -> list[Figure]:
    figures: list[Figure] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    errors = Console(stderr=True)
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("", total=sum(MEASUREMENTS[name].steps * samples for name in names))
        for name in names:
            figures += MEASUREMENTS[name].run(samples, lambda what: progress.update(task, advance=1, description=what))
    return figures


def parse() -> argparse.Namespace:
    listing = "\n".join(f"{name:8}  {measurement.help}" for name, measurement in MEASUREMENTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, epilog=listing, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[[], *MEASUREMENTS], metavar="name", help="measure these alone")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--samples", type=int, default=5, help="of each (5); a median of fewer says little")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
