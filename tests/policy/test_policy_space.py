"""The policy is proved over the whole space of abstract observations, not sampled: every invariant holds in every situation.

A failure shows the smallest counterexample as a story. `python -m tests.policy.proof` prints the same with what each row does
how often.
"""

import pytest

from tests.policy.facts import Facts
from tests.policy.proof import INVARIANTS, TOTAL, Result, check, prove, told
from tests.policy.scenery import Alone, observe, oddness, story
from tests.policy.space import PIECES, RULES_AMONG, crossed
from zkboot.model import Unknown
from zkboot.policy import ROWS
from zkboot.words import Words

DRAWN = 40_000


@pytest.fixture(scope="module")
def result() -> Result:
    return prove()


def test_no_observation_falls_through(result: Result) -> None:
    assert TOTAL not in result.broken, told(TOTAL, result.broken[TOTAL])


@pytest.mark.parametrize("name", [i.name for i in INVARIANTS])
def test_invariant(result: Result, name: str) -> None:
    assert name not in result.broken, told(name, result.broken[name])


def test_each_row_is_reachable(result: Result) -> None:
    missing = {row.number for row in ROWS} - result.rows.keys()
    assert not missing, f"no situation reaches row {missing}"


def test_nothing_hides_between_the_two_sides() -> None:
    """Drawn from the full product of what the enumeration factorises."""
    found = check(crossed(DRAWN))
    assert not found.broken, "\n\n".join(told(name, b) for name, b in found.broken.items())


def test_the_space_is_as_large_as_said(result: Result) -> None:
    assert result.situations > 500_000
    assert len(PIECES) > 50


def test_every_invariant_is_a_sentence_with_its_own_name() -> None:
    assert len({i.name for i in INVARIANTS}) == len(INVARIANTS)
    assert all(i.sentence[0].isupper() or i.sentence[0] == "`" for i in INVARIANTS)
    assert all(rule.why for rule in RULES_AMONG)


def test_a_generation_is_over_only_by_its_own_clusters_record() -> None:
    def outlived(disk: str, record: str = "created, seed other", conflict: str = "none") -> bool:
        return Words(observe(Alone(disk=disk, record=record, conflict=conflict))).outlived

    older = "data of an older generation"
    assert outlived(older) and outlived(older, "reseeding, seed gone, not started")
    assert not outlived(older, "unknown") and not outlived(older, "absent") and not outlived(older, conflict="scope")
    for disk in ("data", "data of nobody", "data of another cluster", "data of a newer generation", "empty"):
        assert not outlived(disk), disk


def test_a_story_tells_only_what_is_odd() -> None:
    s = Alone(disk="empty", other=("terminated", "nothing"))
    assert story(s) == "without a quorum; disk: empty; other: terminated, nothing"
    assert oddness(s) == 2


def test_the_facts_are_read_apart_from_the_policys_words() -> None:
    """The calmest situation, read by hand."""
    facts = Facts(observe(Alone()))
    assert [v.id for v in facts.voters] == [1, 2, 3]
    assert facts.enough and facts.target == 3 and not facts.promised and not facts.unknown
    lost = Facts(observe(Alone(other=("terminated", "data"), third=("runs", "empty"))))
    assert [v.id for v in lost.remaining] == [1] and not lost.enough
    assert isinstance(observe(Alone(group="unknown")).group, Unknown)
