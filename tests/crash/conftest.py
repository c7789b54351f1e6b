"""A stage for each file: its cases share an ensemble."""

from collections.abc import Iterator

import pytest

from tests.crash.play import new_stage
from tests.scenarios.stage import Stage


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    stage = new_stage()
    yield stage
    stage.close()
