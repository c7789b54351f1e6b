"""The leader is cut off from the others: they go on without it, and it follows them when the network is whole again."""

import pytest

from tests.lab.errors import NotPossibleHere
from tests.lab.group import Group
from tests.lab.network import Namespaces
from tests.scenarios.stage import Stage
from tests.scenarios.story import created_once, every_write_kept, record


def test_a_leader_is_cut_off(stage: Stage) -> None:
    try:
        region = stage.region(Namespaces())
    except NotPossibleHere as reason:
        pytest.skip(f"SKIPPED, NOT PROVED: {reason}")
    zk = region.group(3)
    zk.wait_serving(3)
    the_leader_is_cut_off(zk)


def the_leader_is_cut_off(zk: Group) -> None:
    generation = record(zk)["generation"]
    leader = zk.leader()
    others = [machine for machine in zk.living if machine is not leader]
    with every_write_kept(zk) as ledger:
        with ledger.event("the leader is cut off"), zk.region.partition([leader], others):
            zk.wait_until(lambda: "leader" in {zk.modes()[m.instance_id] for m in others}, "another one leads")
            ledger.wait_writing()
            zk.wait_until(lambda: leader.answer() is None, "alone, it no longer serves")
        zk.wait_serving(3)
    created_once(zk, generation)
