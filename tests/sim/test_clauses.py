"""Each clause against the race that it decides: with it off something is lost, with it on nothing is."""

import pytest

from tests.sim import races, switches
from tests.sim.clauses import CLAUSES, TWO, Clause, Played, play
from tests.sim.node import Node
from tests.sim.switches import Switch


def shows(played: Played, clause: Clause) -> bool:
    return any(clause.loss in text for text in (*played.found, *played.given_up))


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda c: c.words)
def test_a_clause_decides_its_race(clause: Clause) -> None:
    off, on = play(clause, clause.switch), play(clause, [])
    assert shows(off, clause), "\n".join(["nothing was lost without it", *off.story, *off.found])
    assert not on.found and not shows(on, clause), "\n".join(["lost although it is on", *on.story, *on.found])


def test_a_pending_configuration_is_not_given_up_for_voters_that_come_back() -> None:
    played = play(Clause("", [], races.commit_unheard_by_those_left, TWO, max_voters=3), [])
    assert not played.found, "\n".join([*played.story, *played.found])


@pytest.mark.parametrize("switch", ([], switches.NO_MARK), ids=("marked", "not marked"))
def test_who_is_of_a_generation_before_archives_what_it_had_reported(switch: Switch) -> None:
    """Not what a server that was started again had from the new leader."""
    ends: list[tuple[Node, int]] = []
    played = play(Clause("", [], lambda d: ends.append(races.aws_away_before_it_joins(d)), TWO), switch)
    old, told = ends[0]
    assert not played.found, "\n".join([*played.story, *played.found])
    assert ([kept.about.zxid for kept in old.files.archives] == [told]) is not bool(switch), "\n".join(played.story)
    assert any(f"{old.id}: [9] no quorum seen" in line for line in played.story) is bool(switch)


@pytest.mark.parametrize("switch", ([], switches.LEADER_UNPROVED), ids=("the leader proved", "the leader not proved"))
def test_an_emptied_voter_is_no_majority_for_a_stale_leader(switch: Switch) -> None:
    played = play(Clause("", [], races.emptied_beside_a_stale_leader, TWO), switch)
    joins = next(i for i, line in enumerate(played.story) if "archived, and it joins again" in line)
    ends = next(i for i, line in enumerate(played.story) if "stops leading" in line)
    assert (joins < ends) is bool(switch), "the two did not meet"
    assert not played.found, "\n".join([*played.story, *played.found])
