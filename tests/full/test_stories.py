"""The same stories as tests/scenarios tells of processes, of booted instances."""

import pytest

from tests.lab.full.stories import STORIES, Story
from tests.lab.group import Group
from tests.scenarios.story import created_once

SHORT = ("reboot", "power", "partition", "terminate", "majority")  # what `make test` has time for


def test_fresh(zk: Group) -> None:
    created_once(zk)
    assert not zk.region.gateway.refused, "the policy that Terraform attaches is enough"
    for machine in zk.living:
        status = machine.run("cloud-init", "status").stdout
        assert "status: done" in status, status
        assert "0 loaded units" in machine.run("systemctl", "--failed").stdout


@pytest.mark.parametrize(
    "story",
    [story if story.name in SHORT else pytest.param(story, marks=pytest.mark.long) for story in STORIES],
    ids=lambda s: s.name,
)
def test_story(zk: Group, story: Story) -> None:
    story.tell(zk)
