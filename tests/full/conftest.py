"""The stage of booted instances: one region, one ensemble of three, shared by all that is told here."""

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.errors import NotPossibleHere
from tests.lab.full.ec2 import Image
from tests.lab.full.image import ensure
from tests.lab.full.region import FullRegion
from tests.lab.group import Group
from tests.lab.machines import CHECKOUT

FRESH = 240.0  # seconds


@pytest.fixture(scope="session")
def golden() -> Image:
    """The image of this checkout; built by Packer when it is not in the cache, which takes minutes."""
    done = subprocess.run([str(CHECKOUT / "tests/setup/lab")], env=os.environ, capture_output=True, text=True, check=False)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["tests/setup/lab failed without a word"])[-1]
        pytest.skip(f"SKIPPED, NOT PROVED: {why}")
    try:
        return ensure(print)
    except NotPossibleHere as error:
        pytest.skip(f"SKIPPED, NOT PROVED: {error}")


@pytest.fixture(scope="package")
def full_region(golden: Image) -> Iterator[FullRegion]:
    with FullRegion(golden) as region:
        yield region


@pytest.fixture(scope="package")
def ensemble(full_region: FullRegion) -> Group:
    group = full_region.group(3)
    group.wait_serving(3, FRESH)
    group.wait_until(lambda: all(machine.said("finished at") for machine in group.living), "cloud-init has ended", FRESH)
    return group


@pytest.fixture
def zk(ensemble: Group) -> Group:
    """An ensemble of three that serves. The story leaves it healthy."""
    ensemble.wait_serving(3, FRESH)
    return ensemble


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: Any, call: Any) -> Any:
    """After a failure: each instance's last words in the report."""
    report = yield
    region = item.funcargs.get("full_region") or getattr(item.funcargs.get("ensemble"), "region", None)
    if report.failed and region is not None:
        report.sections.append(("the lab", region.last_words()))
    return report
