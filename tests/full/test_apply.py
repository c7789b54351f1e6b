"""The stack, applied by Terraform's real provider: what it makes is launched, serves, scales, stays as it is, and goes."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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


@contextmanager
def applying(applied: Applied) -> Iterator[Group]:
    """The group, while the apply that makes it goes on: its instances serve long before S3's rules have settled."""
    region = applied.region
    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(applied.apply)
        region.wait_until(lambda: going.done() or applied.launched, "the group launches", FRESH)
        if going.done():
            going.result()
        yield applied.group
        going.result()


def serving(applied: Applied) -> Group:
    """The ensemble of three that an apply makes."""
    with applying(applied) as zk:
        zk.wait_serving(3, FRESH)
        created_once(zk)
    return zk


def test_apply_serve_scale_plan_and_destroy(full_region: FullRegion, stack: Callable[[str], Applied]) -> None:
    applied = stack("orders")
    with applying(applied) as zk:
        zk.wait_serving(3, FRESH)
        created_once(zk)
        with every_write_kept(zk):
            applied.scale_by_hand(5)
            zk.wait_serving(5, FRESH)
    ships_its_journal(zk)
    assert not full_region.gateway.refused, "the policy that Terraform attaches is enough"
    assert applied.plan() == {}, "scaled by hand, and a plan does not take that back"
    arn = zk.asg.arn
    applied.change(termination_timeout=600)
    with every_write_kept(zk):
        applied.apply("-var=desired_capacity=3")
        zk.wait_serving(3, FRESH)
    assert zk.asg.arn == arn and timeouts(zk) == {"zkboot-launch": 3600, "zkboot-terminate": 600}
    assert applied.plan("-var=desired_capacity=3") == {}
    before, told = record(zk), len(full_region.story)
    assert applied.destroyed() == [applied.BUCKET]
    assert not zk.living and record(zk) == before
    assert not waited_for(full_region.story[told:])


def ships_its_journal(zk: Group) -> None:
    logs = zk.region.client("logs")
    for machine in zk.living:
        assert hear(machine, r"serving as \w+, server \d", zk.region)
        own = {"logGroupName": f"/zkboot/{zk.plan.cluster}", "logStreamNamePrefix": f"{machine.instance_id}/"}
        assert zk.wait_until(lambda own=own: logs.describe_log_streams(**own)["logStreams"], "it ships its journal")


def timeouts(zk: Group) -> dict[str, int]:
    hooks = zk.asg.autoscaling_backend.describe_lifecycle_hooks(zk.asg.name)
    return {hook.name: hook.heartbeat_timeout for hook in hooks}


def waited_for(story: list[tuple[float, str]]) -> list[str]:
    """By what the region told: whose leave a hook waited for."""
    return [sentence for _, sentence in story if re.search(r"zkboot-terminate (completed|timed out|is deleted)", sentence)]


@pytest.mark.long
def test_scaled_to_zero_with_a_last_backup_and_up_again(full_region: FullRegion, stack: Callable[[str], Applied]) -> None:
    """The members leave on their own, the last one with a backup, which the next ones restore, unasked where that is allowed."""
    applied = stack("zero")
    applied.change(min_size=0, settings={"ensemble": {"auto_restore": 86400}})
    zk = serving(applied)
    with every_write_kept(zk):
        empty(applied)
        applied.apply("-var=desired_capacity=3")
        zk.wait_serving(3, LONG)
    created_once(zk, 2)
    applied.destroyed()


@pytest.mark.long
def test_scaled_to_zero_without_a_backup_and_up_again(full_region: FullRegion, stack: Callable[[str], Applied]) -> None:
    applied = stack("empty")
    applied.change(min_size=0, settings={"backup": {"interval": 0}})
    zk = serving(applied)
    before = record(zk)
    empty(applied)
    assert not full_region.objects("backups/", zk.plan.bucket)
    applied.apply("-var=desired_capacity=1")
    zk.wait_until(lambda: zk.living, "one is launched")
    hear(zk.living[0], r"halted: too few voters of cluster empty remain .*`zkboot create --accept-data-loss`", full_region, LONG)
    after = record(zk)
    assert [after[key] for key in ("cluster_id", "generation")] == [before[key] for key in ("cluster_id", "generation")]
    told = len(full_region.story)
    assert applied.destroyed() == [applied.BUCKET]
    assert "zkboot-launch is deleted, ABANDON" in str(full_region.story[told:]), "whom the launch hook held is let go too"


def empty(applied: Applied) -> None:
    """By Terraform: each member leaves, and completes its hook itself."""
    zk, story = applied.group, applied.region.story
    told, going = len(story), {machine.instance_id for machine in zk.living}
    applied.apply("-var=desired_capacity=0")
    zk.wait_until(lambda: not zk.living and not zk.asg.instance_states, "all are gone", LONG)
    left = {sentence.partition(":")[0] for _, sentence in story[told:] if "zkboot-terminate completed" in sentence}
    assert left == going, f"{going - left} did not leave on their own"


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
    pages = full_region.client("ssm").get_paginator("describe_parameters").paginate()
    kept = {parameter["Name"] for page in pages for parameter in page["Parameters"]}
    assert {"/zkboot/later/super", "/zkboot/later/cluster-id"} <= kept


@pytest.mark.long
def test_a_new_image_and_new_settings_replace_the_instances_one_by_one(
    full_region: FullRegion, stack: Callable[[str], Applied]
) -> None:
    applied = stack("image")
    applied.change(instance_refresh={"checkpoint_percentages": [34, 100], "checkpoint_delay": 20})
    zk = serving(applied)
    assert full_region.image is not None
    newest = full_region.register(full_region.image)
    replaced_one_by_one(applied)
    assert {full_region.image_of(machine) for machine in zk.living} == {newest}
    applied.change(settings={"zookeeper": {"snap_count": 50_000}})
    replaced_one_by_one(applied)
    for machine in zk.living:
        assert "snapCount=50000" in machine.run("cat", "/etc/zookeeper/zoo.cfg").stdout.splitlines()
    assert applied.plan() == {}
    applied.destroyed()


def replaced_one_by_one(applied: Applied) -> None:
    """By what changed since the last apply, while a client writes."""
    zk, story = applied.group, applied.region.story
    old, told = set(zk.living), len(story)
    with every_write_kept(zk):
        applied.apply()
        zk.wait_until(lambda: not old & set(zk.living), "every instance is replaced", 2 * FRESH)
        zk.wait_serving(3, FRESH)
    assert fewest_in_service(story[told:], 3) == 3, "a successor serves before its predecessor is taken"


def fewest_in_service(story: list[tuple[float, str]], at_first: int) -> int:
    """By what the region told: the fewest instances that were in service at a time and not being taken."""
    count = fewest = at_first
    for _, sentence in story:
        count += bool(re.search(r"is in service$", sentence)) - bool(re.search(r"is being taken", sentence))
        fewest = min(fewest, count)
    return fewest
