"""The command `zkboot`. A `recover` tries the light turn first, before anything dear is imported."""

import gc
import sys


def main(argv: list[str] | None = None) -> int:
    """Run one command line (without the program's name); the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    # What is imported stays: collections meanwhile are CPU time for nothing. A command that goes on turns them on again.
    gc.disable()
    if "recover" in arguments and _ends_light(arguments):
        return 0
    from zkboot import cli

    return cli.run(arguments)


def _ends_light(arguments: list[str]) -> bool:
    from zkboot import light

    return light.ends_here(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
