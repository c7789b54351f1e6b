"""A partition between machines (root: a network namespace each)."""

import sys

import pytest

from tests.lab.errors import NotPossibleHere
from tests.lab.group import Group
from tests.lab.ledger import Ledger
from tests.lab.network import Namespaces
from tests.lab.region import Region

STANDIN = (sys.executable, "-m", "tests.lab.standin")


def modes(group: Group) -> list[str]:
    return sorted(group.modes().values())


def test_a_partitioned_leader_stops_serving_and_the_majority_goes_on() -> None:
    try:
        story()
    except NotPossibleHere as reason:
        pytest.skip(f"SKIPPED, NOT PROVED: {reason}")


def story() -> None:
    with Region(Namespaces()) as region:
        group = region.group(3, command=STANDIN, hooks=False)
        group.wait_until(lambda: modes(group) == ["follower", "follower", "leader"], "three servers serve", 30)
        with Ledger(group) as ledger:
            ledger.wait_writing()
            leader = group.leader()
            others = [machine for machine in group.living if machine is not leader]
            with region.partition([leader], others):
                group.wait_until(lambda: leader.answer() is None, "the leader alone serves nobody", 30)
                group.wait_until(lambda: modes(group) == ["", "follower", "leader"], "two of three serve", 30)
                assert leader.answer() is None
                ledger.wait_writing()
            group.wait_until(lambda: modes(group) == ["follower", "follower", "leader"], "three serve again", 30)
        assert ledger.report is not None and ledger.report.lost == ()
