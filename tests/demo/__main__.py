"""`python -m tests.demo [--keep]`: tell the story; Ctrl-C at any moment stops everything that it started, and only that.

Exit codes: 0 every state was reached and no acknowledged write is missing, 1 not so, 130 interrupted.
"""

import argparse
import sys

from tests.demo import interrupts

INTERRUPTED = 130
STOPPED = "stopped: the region, its machines and all that ran on them; nothing else was touched"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description="An ensemble that builds and heals itself.")
    parser.add_argument("--keep", action="store_true", help="leave the region running at the end, until Ctrl-C")
    options = parser.parse_args()
    interrupts.catch()
    try:
        # The lab's imports take a second, and a Ctrl-C in it ends as any other.
        from tests.demo.story import tell

        whole = tell(options.keep)
    except KeyboardInterrupt:
        print(f"\n{STOPPED}")
        return INTERRUPTED
    if options.keep:
        print(f"\n{STOPPED}")
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
