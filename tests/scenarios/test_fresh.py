"""Machines with nothing become an ensemble."""

import pytest

from tests.lab.region import Region
from tests.scenarios.story import Orders, created_once, every_write_kept, hear, looked_again, record, reports


@pytest.mark.parametrize("size", [1, pytest.param(2, marks=pytest.mark.long), pytest.param(3, marks=pytest.mark.long)])
def test_fresh(region: Region, size: int) -> None:
    zk = region.group(size)
    with every_write_kept(zk):
        zk.wait_serving(size)
    created_once(zk)
    assert [(m.id, m.role) for m in zk.members()] == [(i, "participant") for i in range(1, size + 1)]
    assert record(zk)["revision"] >= 3 and len(reports(zk)) == size
    assert not region.gateway.refused, "the policy that Terraform attaches is enough"


def test_the_third_instance_arrives_late(region: Region) -> None:
    region.no_capacity("c")
    zk = region.group(3)
    region.wait_until(lambda: len(zk.machines) == 2, "two are there")
    for machine in zk.living:
        hear(machine, r"waiting: 2 of 3 instances registered: .*; missing: 1 not launched yet", region)
    looked_again(region, *zk.living)
    assert record(zk) == {}
    region.no_capacity()
    with every_write_kept(zk):
        zk.wait_serving(3)
    created_once(zk)


def test_five_create_in_the_same_instant(region: Region) -> None:
    zk = region.group(5, environment=Orders(dict.fromkeys(range(5), "before:create:pause")))
    region.wait_until(lambda: sum(m.stopped_at_step for m in zk.living) == 5, "all five are about to create")
    assert record(zk) == {}
    for machine in zk.living:
        machine.thaw_zkboot()
    with every_write_kept(zk):
        zk.wait_serving(5)
    created_once(zk)
    assert [m.id for m in zk.voters()] == [1, 2, 3, 4, 5]
    assert sum(bool(m.said("this node is the seed")) for m in zk.living) == 1


def test_a_seed_whose_joiners_are_late_is_not_given_up_by_the_group(region: Region) -> None:
    zk = region.group(3, environment=Orders(dict.fromkeys(range(3), "before:reconfigure:pause")))
    region.wait_until(lambda: any(m.stopped_at_step for m in zk.living), "a joiner is about to enter")
    (seed,) = [machine for machine in zk.living if machine.said("this node is the seed")]
    left = [region.autoscaling.remaining(seed.instance_id, "zkboot-launch")]

    def begins_anew() -> bool:
        left.append(region.autoscaling.remaining(seed.instance_id, "zkboot-launch"))
        return left[-1] > left[-2]

    region.wait_until(begins_anew, "the launch hook's time begins anew")
    assert region.lifecycle(seed) == "Pending:Wait"

    def all_serve() -> bool:
        for machine in zk.living:
            machine.thaw_zkboot()
        return zk.serving(3)

    with every_write_kept(zk):
        zk.wait_until(all_serve, "three members serve")
        zk.wait_serving(3)
    created_once(zk)
