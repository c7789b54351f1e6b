"""The stack, applied by Terraform's real provider: what it makes is launched, serves, scales, stays as it is, and goes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.errors import NotPossibleHere
from tests.lab.full.apply import Applied
from tests.lab.full.region import FullRegion
from tests.lab.group import Group
from tests.scenarios.story import created_once, every_write_kept, record

FRESH = 100.0
BUCKET = "module.zookeeper.aws_s3_bucket.this[0]"


@pytest.fixture
def applied(full_region: FullRegion, tmp_path: Path) -> Iterator[Applied]:
    try:
        stack = Applied(full_region, tmp_path)
    except NotPossibleHere as error:
        pytest.skip(f"SKIPPED, NOT PROVED: {error}")
    yield stack


def test_apply_serve_scale_plan_and_destroy(applied: Applied, full_region: FullRegion) -> None:
    applied.apply()
    zk = applied.group
    zk.wait_serving(3, FRESH)
    created_once(zk)
    with every_write_kept(zk):
        applied.apply("-var=desired_capacity=5")
        zk.wait_serving(5, FRESH)
        assert applied.plan("-var=desired_capacity=5") == {}
        applied.scale_by_hand(3)
        zk.wait_serving(3, FRESH)
    assert applied.plan() == {}
    arn = zk.asg.arn
    applied.change(termination_timeout=600)
    applied.apply()
    assert zk.asg.arn == arn
    for machine in zk.living:
        assert "serving as" in machine.file("/var/log/cloud-init-output.log")
    assert not full_region.gateway.refused, "the policy that Terraform attaches is enough"
    gone(applied, zk)


def gone(applied: Applied, zk: Group) -> None:
    """Destroyed, but for the bucket, which holds the record."""
    before = record(zk)
    done = applied.destroy()
    assert "BucketNotEmpty" in done.stderr
    assert applied.kept() == [BUCKET]
    assert not zk.living
    assert record(zk) == before
