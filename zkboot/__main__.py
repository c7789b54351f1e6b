"""The command `zkboot`. A `recover` tries the light turn first, before anything dear is imported."""

import gc
import sys


def main(argv: list[str] | None = None) -> int:
    """Run one command line (without the program's name); the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    if "recover" in arguments and _ends_light(arguments):
        return 0
    from zkboot import cli

    return cli.run(arguments)


def _ends_light(arguments: list[str]) -> bool:
    # A light turn ends before a collection finds anything: those during its imports are CPU time for nothing.
    gc.disable()
    try:
        from zkboot import light

        return light.ends_here(arguments)
    finally:
        gc.enable()


if __name__ == "__main__":
    raise SystemExit(main())
