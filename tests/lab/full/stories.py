"""What `make lab` tells: stories of tests/scenarios, and those that only a booted machine can tell."""

from collections.abc import Callable
from typing import NamedTuple

from tests.lab.group import Group
from tests.scenarios import test_failures, test_lost_majority, test_partition, test_power, test_resize


class Story(NamedTuple):
    """`tell` takes an ensemble of three that serves, and leaves it so."""

    name: str
    title: str
    tell: Callable[[Group], None]


STORIES = (
    Story("kill", "The leader's server is killed", test_failures.test_leader_killed),
    Story("reboot", "A member reboots while AWS is away", test_power.test_aws_is_away_while_a_member_reboots),
    Story("power", "Two of three lose power, and return", test_power.test_two_of_three_lose_power_and_return),
    Story("partition", "The leader is cut off from the others", test_partition.the_leader_is_cut_off),
    Story(
        "terminate",
        "An instance is terminated, and replaced",
        lambda zk: test_failures.test_an_instance_is_terminated_and_replaced(zk, reused=True),
    ),
    Story(
        "scale",
        "Three to five, two of five terminated at once, and back to three",
        test_resize.test_three_to_five_and_two_of_five_terminated_at_once_and_back_to_three,
    ),
    Story("majority", "A majority is terminated at once", test_lost_majority.test_a_majority_is_terminated),
)
