"""Whose server may be stopped for a cold backup."""

import pytest

from tests.unit.test_backup_turn import quorum
from zkboot.backup.cold import refusal


@pytest.mark.parametrize("server_id", [2, 3, 4])
def test_a_follower_or_an_observer_of_a_whole_ensemble(server_id: int) -> None:
    assert refusal(quorum(1, observers=(4,)), server_id) == ""


def test_the_leader_never() -> None:
    assert refusal(quorum(1), 1) == "this node leads: a cold backup is made on another member"


def test_not_where_no_quorum_would_be_left() -> None:
    assert refusal(quorum(1, silent=(3,)), 2) == "1 of 3 voters would be left, which is no quorum"
    assert refusal(quorum(1, observers=(4,), silent=(3,)), 4) == "", "an observer is none of the quorum"


@pytest.mark.parametrize("server_id", [None, 9, 3])
def test_not_where_this_node_is_not_seen_to_serve(server_id: int | None) -> None:
    assert refusal(quorum(1, silent=(3,)), server_id) == refusal(None, server_id)
    assert "not seen to serve" in refusal(None, server_id)
