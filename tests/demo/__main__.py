"""`python -m tests.demo [--keep]`: tell the story; Ctrl-C at any moment stops everything that it started, and only that.

Exit codes: 0 every state was reached and no write is missing, 1 not so, 130 interrupted.
"""

import argparse
import signal
import sys
from types import FrameType
from typing import NoReturn

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description="An ensemble that builds and heals itself.")
    parser.add_argument("--keep", action="store_true", help="leave the region running at the end, until Ctrl-C")
    options = parser.parse_args()
    for number in ENDINGS:
        signal.signal(number, interrupt)
    told = False
    try:
        # The lab's imports take a second, and a Ctrl-C in it must end as quietly as any other.
        from tests.demo.story import tell

        for told in tell(options.keep):
            pass
    except KeyboardInterrupt:
        print("stopped: the region, its machines and every process on them; nothing else was touched")
        return 0 if told else INTERRUPTED
    return 0 if told else 1


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """End as Ctrl-C does, once: what follows is the cleaning up."""
    leave_in_peace()
    raise KeyboardInterrupt


def leave_in_peace() -> None:
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
