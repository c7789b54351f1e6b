"""A partition between machines (root: a network namespace each)."""

import sys

import pytest

from tests.lab.errors import NotPossibleHere
from tests.lab.ledger import Ledger
from tests.lab.machines import Machine
from tests.lab.network import Namespaces
from tests.lab.region import Region

STANDIN = (sys.executable, "-m", "tests.lab.standin")
THREE = ["follower", "follower", "leader"]


def modes(machines: list[Machine]) -> list[str]:
    return sorted(answer.mode if (answer := machine.answer()) else "" for machine in machines)


def test_a_partitioned_leader_stops_serving_and_the_majority_goes_on() -> None:
    try:
        story()
    except NotPossibleHere as reason:
        pytest.skip(f"SKIPPED, NOT PROVED: {reason}")


def story() -> None:
    with Region(Namespaces()) as region:
        group = region.group(3, command=STANDIN, hooks=False)
        group.wait_until(lambda: modes(group.living) == THREE, "three servers serve")
        with Ledger(group) as ledger:
            ledger.wait_writing()
            leader = group.leader()
            others = [machine for machine in group.living if machine is not leader]
            with region.partition([leader], others):
                group.wait_until(lambda: modes(others) == ["follower", "leader"], "the two elect another")
                group.wait_until(lambda: leader.answer() is None, "the one alone serves nobody")
                ledger.wait_writing()
            group.wait_until(lambda: modes(group.living) == THREE, "three serve again")
        assert ledger.report is not None and ledger.report.lost == ()
