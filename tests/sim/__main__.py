"""`python -m tests.sim --seed N` replays one schedule and tells its story; `--shrink` first leaves out what it does not need."""

import argparse

from tests.sim import chaos


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim")
    parser.add_argument("--seed", type=int, default=0, help="the schedule to replay")
    parser.add_argument("--shrink", action="store_true", help="leave out what its failure does not need")
    given = parser.parse_args()
    outcome = chaos.run(given.seed)
    if given.shrink:
        for left_out, outcome in chaos.shrunk(given.seed):
            print(f"without {', '.join(sorted(left_out))}: {outcome.found[0].splitlines()[0]}", flush=True)
    print("\n".join(outcome.story))
    print("\n".join(outcome.found) or f"well after {outcome.seconds:.0f} s of quiet")
    return 1 if outcome.found else 0


if __name__ == "__main__":
    raise SystemExit(main())
