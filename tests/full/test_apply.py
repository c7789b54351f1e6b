"""The stack, applied by Terraform's real provider: what it makes is launched, serves, scales, stays as it is, and goes."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.lab.errors import NotPossibleHere
from tests.lab.full.apply import Applied
from tests.lab.full.region import FullRegion
from tests.lab.group import Group
from tests.scenarios.story import LONG, created_once, every_write_kept, hear, record

FRESH = 240.0  # seconds


@pytest.fixture
def stack(full_region: FullRegion, tmp_path: Path) -> Callable[[str], Applied]:
    """Of that cluster, not applied yet. What one test's destroy leaves behind would meet another cluster of the same name."""

    def copied(cluster: str) -> Applied:
        try:
            return Applied(full_region, tmp_path, cluster)
        except NotPossibleHere as error:
            pytest.skip(f"SKIPPED, NOT PROVED: {error}")

    return copied


def serving(applied: Applied) -> Group:
    """The ensemble of three that an apply makes."""
    applied.apply()
    zk = applied.group
    zk.wait_serving(3, FRESH)
    created_once(zk)
    return zk


def test_apply_serve_scale_plan_and_destroy(full_region: FullRegion, stack: Callable[[str], Applied]) -> None:
    applied = stack("orders")
    zk = serving(applied)
    with every_write_kept(zk):
        applied.apply("-var=desired_capacity=5")
        zk.wait_serving(5, FRESH)
        assert applied.plan("-var=desired_capacity=5") == {}
        applied.scale_by_hand(3)
        zk.wait_serving(3, FRESH)
    assert applied.plan() == {}, "scaled by hand, and a plan does not take that back"
    logs = full_region.client("logs")
    for machine in zk.living:
        assert hear(machine, r"serving as \w+, server \d", full_region)
        own = {"logGroupName": "/zkboot/orders", "logStreamNamePrefix": f"{machine.instance_id}/"}
        assert zk.wait_until(lambda own=own: logs.describe_log_streams(**own)["logStreams"], "it ships its journal")
    assert not full_region.gateway.refused, "the policy that Terraform attaches is enough"
    arn = zk.asg.arn
    applied.change(termination_timeout=600)
    applied.apply()
    assert zk.asg.arn == arn and timeouts(zk) == {"zkboot-launch": 3600, "zkboot-terminate": 600}
    before = record(zk)
    assert applied.destroyed() == [applied.BUCKET]
    assert not zk.living and record(zk) == before


def timeouts(zk: Group) -> dict[str, int]:
    hooks = zk.asg.autoscaling_backend.describe_lifecycle_hooks(zk.asg.name)
    return {hook.name: hook.heartbeat_timeout for hook in hooks}


@pytest.mark.long
def test_a_later_apply_meets_what_destroy_left_and_asks(full_region: FullRegion, stack: Callable[[str], Applied]) -> None:
    applied = stack("later")
    zk = serving(applied)
    applied.destroyed()
    left, before = full_region.objects("", zk.plan.bucket), record(zk)
    applied.apply()
    zk.wait_until(lambda: len(zk.living) == 3, "three instances are launched")
    for machine in zk.living:
        hear(machine, r"halted: the record of cluster later belongs to .*/vpc-.*`zkboot adopt`", full_region, LONG)
    assert record(zk) == before
    assert left.keys() <= full_region.objects("", zk.plan.bucket).keys(), "nothing is emptied"
    done = zk.living[0].zkboot("adopt", "--confirm", "later", timeout=LONG)
    assert done.returncode == 0, done.stdout
    for machine in zk.living:
        hear(machine, r"halted: too few voters of cluster later remain .*`zkboot create --accept-data-loss`", full_region, LONG)
    assert record(zk)["generation"] == before["generation"] and left.keys() <= full_region.objects("", zk.plan.bucket).keys()
    applied.change(bucket={"force_destroy": True})
    applied.apply()
    assert applied.destroyed() == []
    with pytest.raises(ClientError, match=r"Not Found|NoSuchBucket"):
        full_region.client("s3").head_bucket(Bucket=zk.plan.bucket)
    kept = full_region.client("ssm").describe_parameters()["Parameters"]
    assert {"/zkboot/later/super", "/zkboot/later/cluster-id"} <= {parameter["Name"] for parameter in kept}


@pytest.mark.long
def test_a_new_image_replaces_the_instances_one_by_one(full_region: FullRegion, stack: Callable[[str], Applied]) -> None:
    applied = stack("image")
    applied.change(instance_refresh={"checkpoint_percentages": [34, 100], "checkpoint_delay": 20})
    zk = serving(applied)
    old, told = set(zk.living), len(full_region.story)
    assert full_region.image is not None
    newest = full_region.register(full_region.image)
    with every_write_kept(zk):
        applied.apply()
        zk.wait_until(lambda: not old & set(zk.living), "every instance is replaced", 2 * FRESH)
        zk.wait_serving(3, FRESH)
    images = {full_region.image_of(machine) for machine in zk.living}
    assert images == {newest}
    assert fewest_in_service(full_region.story[told:], 3) == 3, "a successor serves before its predecessor is taken"
    assert applied.plan() == {}
    applied.destroyed()


def fewest_in_service(story: list[tuple[float, str]], at_first: int) -> int:
    """By what the region told: the fewest instances that were in service at a time and not being taken."""
    count = fewest = at_first
    for _, sentence in story:
        count += bool(re.search(r"is in service$", sentence)) - bool(re.search(r"is being taken", sentence))
        fewest = min(fewest, count)
    return fewest
