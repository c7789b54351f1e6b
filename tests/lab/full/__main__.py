"""`python -m tests.lab.full`: a region of booted instances, built, tried and told. `make lab`, `make lab-shell`, `make lab-down`.

Exit codes: 0 every story went well, 1 one did not or the lab cannot run here, 130 interrupted.
"""

import argparse
import os
import subprocess
import sys

from tests.lab.errors import LabError
from tests.lab.machines import CHECKOUT

INTERRUPTED = 130
INSTEAD = "The process lab needs no root and runs the same stories: make demo KEEP=1, then python -m tests.lab; make test-long"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.full", description="A region of booted instances.")
    commands = parser.add_subparsers(dest="command")
    run = commands.add_parser("run", help="build the image unless it is cached, launch three, tell the stories")
    run.add_argument("--keep", action="store_true", help="leave it running at the end, until Ctrl-C or `down`")
    run.add_argument("--only", default="", help="these stories alone, by name, with commas (none: an ensemble and nothing else)")
    commands.add_parser("image", help="build the image unless it is cached")
    commands.add_parser("down", help="end the lab, however it was left, and clean up after it")
    region = commands.add_parser("region", help="python -m tests.lab for the lab that runs: region scale 5")
    region.add_argument("arguments", nargs=argparse.REMAINDER)
    typed = commands.add_parser(
        "typed", help="what an operator types for the lab that runs: typed terraform plan; none is a shell"
    )
    typed.add_argument("arguments", nargs=argparse.REMAINDER)
    shell = commands.add_parser("shell", help="a shell in an instance")
    shell.add_argument("instance", nargs="?", default="", help="its number from 1, or the beginning of its id; none lists them")
    options = parser.parse_args()
    try:
        return COMMANDS[options.command or "run"](options)
    except LabError as error:
        print("\n".join([str(error), *getattr(error, "__notes__", ())]), file=sys.stderr)
        return 1


def run(options: argparse.Namespace) -> int:
    from tests.demo import interrupts

    require()
    interrupts.catch()
    try:
        from tests.lab.full.tell import tell

        return 0 if tell(options.only, options.keep) else 1
    except KeyboardInterrupt:
        print("\nstopped: the region, its instances and all that ran on them; nothing else was touched")
        return INTERRUPTED


def image(options: argparse.Namespace) -> int:
    require()
    from tests.lab.full.image import ensure

    print(ensure(print).layers[-1])
    return 0


def down(options: argparse.Namespace) -> int:
    from tests.lab.full.down import down

    return 0 if down(print) else 1


def shell(options: argparse.Namespace) -> int:
    from tests.lab.full.shell import enter, instances, line

    found = instances()
    if not options.instance:
        print("\n".join(line(number, instance) for number, instance in enumerate(found, 1)) or "no instance of the full lab runs")
        return 0
    return enter(found, options.instance)


def region(options: argparse.Namespace) -> int:
    from tests.lab.full.shell import enter_region

    return enter_region(options.arguments)


def typed(options: argparse.Namespace) -> int:
    from tests.lab.full.shell import enter_typed

    return enter_typed(options.arguments)


def require() -> None:
    """Raises LabError where the full lab cannot run; the script has said why."""
    if subprocess.run([str(CHECKOUT / "tests/setup/lab")], cwd=CHECKOUT, env=os.environ, check=False).returncode:
        raise LabError(INSTEAD)


COMMANDS = {"run": run, "image": image, "down": down, "shell": shell, "region": region, "typed": typed}

if __name__ == "__main__":
    sys.exit(main())
