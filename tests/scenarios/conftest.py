"""The stage, for stories told by pytest."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.group import Group
from tests.lab.region import Region
from tests.scenarios.stage import Stage


@pytest.fixture(scope="package", autouse=True)
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


@pytest.fixture
def region(stage: Stage) -> Region:
    """A region of this story alone."""
    return stage.region()


@pytest.fixture
def zk(stage: Stage) -> Group:
    """An ensemble of three that serves. The story leaves it healthy."""
    return stage.three()


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """The stories that share an ensemble come one after the other, so that it is made once."""
    here = [item for item in items if item.path.parent == Path(__file__).parent]
    ordered = iter(sorted(here, key=lambda item: "zk" not in item.fixturenames))
    items[:] = [next(ordered) if item.path.parent == Path(__file__).parent else item for item in items]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: Any, call: Any) -> Any:
    """After a failure: each machine's last words in the report, its folders kept, and a new region for the next story."""
    report = yield
    stage = item.funcargs.get("stage")
    if report.failed and stage is not None:
        words = stage.last_words()
        name = "".join(c if c.isalnum() else "-" for c in item.name)
        kept = stage.close(keep_as=name)
        report.sections.append(("the lab", f"{words}\nthe machines' folders: {kept}"))
    return report
