"""`python -m tests.sim --seed N` replays one schedule and tells its story; `--count N` plays many and counts."""

import argparse
import time
from collections import Counter

from tests.sim import chaos


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim")
    parser.add_argument("--seed", type=int, default=0, help="the schedule to replay, or the first of many")
    parser.add_argument("--count", type=int, help="play so many schedules, from that seed on")
    given = parser.parse_args()
    if given.count is None:
        outcome = chaos.run(given.seed)
        print("\n".join(outcome.story))
        print("\n".join(outcome.found) or f"well after {outcome.seconds:.0f} s of quiet")
        return 1 if outcome.found else 0
    return many(given.seed, given.count)


def many(first: int, count: int) -> int:
    began, failed = time.perf_counter(), 0
    sums: Counter[str] = Counter()
    for seed in range(first, first + count):
        outcome = chaos.run(seed)
        sums += Counter(
            acknowledged=outcome.acknowledged,
            excused=outcome.excused,
            halted=int(outcome.halted),
            replaced=max(0, outcome.generations - 1),
        )
        if outcome.found:
            failed += 1
            print(f"seed {seed}: {outcome.found[0]}", flush=True)
    seconds = time.perf_counter() - began
    print(
        f"{count} schedules in {seconds:.1f} s ({count / seconds:.0f} a second): {failed} failed, "
        f"{sums['halted']} halted rightly, "
        f"{sums['replaced']} generations replaced, {sums['acknowledged']} writes acknowledged, "
        f"{sums['excused']} of them lost with every disk that had them"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
