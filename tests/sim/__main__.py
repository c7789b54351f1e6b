"""`python -m tests.sim --seed N` replays one schedule and tells its story; `--shrink` first leaves out what it does not need.

With `--bad WORDS` a policy known to be bad is played (`tests.sim.known_bad`), to see what a failure looks like.
"""

import argparse

from tests.sim import chaos, switches
from tests.sim.known_bad import BAD


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description="Replay one schedule, and tell its story.")
    parser.add_argument("--seed", type=int, default=0, help="the schedule to replay")
    parser.add_argument("--shrink", action="store_true", help="leave out what its failure does not need")
    parser.add_argument("--bad", metavar="WORDS", help="with the bad policy whose words contain these")
    given = parser.parse_args()
    bad = [b for b in BAD if given.bad and given.bad in b.words]
    if given.bad and not bad:
        parser.error(f"no bad policy's words contain {given.bad!r}; there are: {'; '.join(b.words for b in BAD)}")
    with switches.off(bad[0].switch if bad else []):
        outcome = chaos.run(given.seed)
        if given.shrink and outcome.found:
            outcome = shrink(given.seed, outcome)
    print("\n".join(outcome.story))
    print("\n".join(outcome.found) or f"well after {outcome.seconds:.0f} s of quiet")
    return 1 if outcome.found else 0


def shrink(seed: int, outcome: chaos.Outcome) -> chaos.Outcome:
    left_out: frozenset[str] = frozenset()
    for left_out, smaller in chaos.shrunk(seed):
        outcome = smaller
        print(f"{len(chaos.PARTS) - len(left_out)} of {len(chaos.PARTS)} parts are left, and it still fails", flush=True)
    print(f"seed {seed}, with nothing but: {', '.join(p for p in chaos.PARTS if p not in left_out) or 'the plain schedule'}\n")
    return outcome


if __name__ == "__main__":
    raise SystemExit(main())
