"""Decide every situation of the space and hold the decision against every invariant."""

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from tests.policy import among, progress, progress_alone, reasons
from tests.policy.facts import Facts
from tests.policy.invariants import ALL, breaks, by_action
from tests.policy.scenery import Situation, observe, oddness, story
from tests.policy.space import PIECES, piece
from zkboot.model import Decision
from zkboot.policy import Row, decide

assert among and progress and progress_alone and reasons  # their invariants are in ALL now
INVARIANTS = tuple(i for i, _ in ALL)
TOTAL = "decide_is_total"


class Break(NamedTuple):
    """The invariants that a number of situations break, each by its smallest counterexample."""

    count: int
    situation: Situation
    decision: Decision | None
    error: str


class Result(NamedTuple):
    situations: int
    rows: Counter[int]
    actions: Counter[tuple[int, str]]
    broken: dict[str, Break]


def check(situations: Iterable[Situation], rows: tuple[Row, ...] | None = None) -> Result:
    """Hold each situation's decision against the invariants."""
    asked, count, reached, acts, broken = by_action(), 0, Counter[int](), Counter[tuple[int, str]](), dict[str, Break]()
    for s in situations:
        count += 1
        seen = observe(s)
        try:
            decision = decide(seen, rows)
        except Exception as e:  # totality is what is being proved
            note(broken, TOTAL, Break(1, s, None, f"{type(e).__name__}: {e}"))
            continue
        reached[decision.row] += 1
        acts[decision.row, str(decision.action)] += 1
        facts = Facts(seen)
        for invariant in asked[decision.action]:
            if breaks(invariant, facts, decision):
                note(broken, invariant.name, Break(1, s, decision, ""))
    return Result(count, reached, acts, broken)


def note(broken: dict[str, Break], name: str, found: Break) -> None:
    old = broken.get(name)
    if old is None or oddness(found.situation) < oddness(old.situation):
        broken[name] = found._replace(count=found.count + (old.count if old else 0))
    else:
        broken[name] = old._replace(count=old.count + found.count)


def check_piece(number: int) -> Result:
    return check(piece(number))


def prove() -> Result:
    """The whole space, on both cores."""
    with ProcessPoolExecutor(2) as pool:
        return merged(pool.map(check_piece, range(len(PIECES))))


def merged(results: Iterable[Result]) -> Result:
    count, reached, acts, broken = 0, Counter[int](), Counter[tuple[int, str]](), dict[str, Break]()
    for result in results:
        count += result.situations
        reached += result.rows
        acts += result.actions
        for name, found in result.broken.items():
            note(broken, name, found)
    return Result(count, reached, acts, broken)


def told(name: str, found: Break) -> str:
    """A counterexample for a reader."""
    sentence = next((i.sentence for i in INVARIANTS if i.name == name), "decide is total: no observation falls through or fails.")
    what = f"row {found.decision.row}, {found.decision.action}: {found.decision.reason}" if found.decision else found.error
    return f"{name} ({found.count} times)\n  {sentence}\n  {story(found.situation)}\n  -> {what}"


def main() -> None:
    result = prove()
    print(f"{result.situations:,} situations, {len(INVARIANTS)} invariants, rows reached: {sorted(result.rows.items())}")
    for (row, action), count in sorted(result.actions.items()):
        print(f"  row {row:>2} {action:<12} {count:>8,}")
    for name, found in result.broken.items():
        print("\n" + told(name, found))


if __name__ == "__main__":
    main()
