"""`zkboot ship`: a real journal to the lab's CloudWatch Logs, under the policy that Terraform attaches."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.aws import CLUSTER, Node, node
from tests.lab.errors import NotPossibleHere
from tests.lab.journal import Journald
from zkboot.aws.logs import LogGroup
from zkboot.logs.batches import Event

GROUP = f"/zkboot/{CLUSTER}"


@pytest.fixture(scope="module")
def shared() -> Iterator[Node]:
    with node() as found:
        yield found


@pytest.fixture
def found(shared: Node) -> Iterator[Node]:
    """A node whose log group is empty, and of which nothing was shipped."""
    shared.region.client("logs").create_log_group(logGroupName=GROUP)
    yield shared
    shared.region.client("logs").delete_log_group(logGroupName=GROUP)
    shipped = shared.machine.root / "var/zkboot/shipped.json"
    shipped.unlink(missing_ok=True)


@pytest.fixture
def journal(found: Node) -> Iterator[Journald]:
    try:
        journal = Journald(f"zkt{os.getpid()}")
    except NotPossibleHere as error:
        pytest.skip(f"SKIPPED, NOT PROVED: {error}")
    journal.put_first_on_path(found.machine.root / "bin")
    yield journal
    journal.close()


@contextmanager
def shipping(found: Node, step: str = "") -> Iterator["subprocess.Popen[str]"]:
    """zkboot ship, as on this machine; an orderly end when the block ends."""
    environment = found.machine.typed_environment() | ({"ZKBOOT_LAB_STEP": step} if step else {})
    command = [sys.executable, "-m", "tests.lab.node", "ship", "--set", f"aws.log_group={GROUP}"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def streams(found: Node) -> dict[str, list[str]]:
    """What each stream of the group holds, without the instance in its name."""
    logs = found.region.client("logs")
    told: dict[str, list[str]] = {}
    for stream in logs.describe_log_streams(logGroupName=GROUP)["logStreams"]:
        name = stream["logStreamName"]
        events = logs.get_log_events(logGroupName=GROUP, logStreamName=name, startFromHead=True)["events"]
        told[name.removeprefix(f"{found.machine.instance_id}/")] = [event["message"] for event in events]
    return told


def until(found: Node, condition: Callable[[], object], what: str) -> None:
    found.region.wait_until(condition, what, 60)


def arrived(found: Node, unit: str, *messages: str) -> Callable[[], bool]:
    return lambda: set(messages) <= set(streams(found).get(unit, ()))


def test_each_unit_has_its_stream_and_of_the_rest_the_trouble_is_kept(found: Node, journal: Journald) -> None:
    journal.say("zookeeper.service", "one", "two", "three", "a\nlong\ntrace", "x" * 5000)
    journal.say("zkboot-recover.service", "healthy")
    journal.say("cloud-init-main.service", "serving as leader")
    journal.say("chrony.service", "all is well")
    journal.say("chrony.service", "the clock is wrong", priority=3)
    journal.say("zkboot-recover.service", '{"_aws": {}}', SYSLOG_IDENTIFIER="zkboot-metrics")
    with shipping(found):
        until(found, lambda: len(streams(found)) >= 5, "five streams")
        journal.say("zookeeper.service", "four")
        until(found, arrived(found, "zookeeper", "four"), "what is said later")
    told = streams(found)
    assert told["zookeeper"] == ["one", "two", "three", "a\nlong\ntrace", "x" * 5000, "four"]
    assert told["zkboot-recover"] == ["healthy"] and told["cloud-init-main"] == ["serving as leader"]
    assert told["system"] == ["the clock is wrong"] and told["metrics"] == ['{"_aws": {}}']
    assert told.keys() == {"zookeeper", "zkboot-recover", "cloud-init-main", "system", "metrics"}
    assert not found.region.gateway.refused, "the policy is enough"


def test_it_goes_on_where_it_was_stopped(found: Node, journal: Journald) -> None:
    journal.say("zookeeper.service", "before")
    with shipping(found):
        until(found, arrived(found, "zookeeper", "before"), "the first line")
        journal.say("zookeeper.service", "last words")
    assert streams(found)["zookeeper"] == ["before", "last words"], "an orderly end sends what there is"
    journal.say("zookeeper.service", "meanwhile")
    with shipping(found):
        until(found, arrived(found, "zookeeper", "meanwhile"), "what was said meanwhile")
    assert streams(found)["zookeeper"] == ["before", "last words", "meanwhile"]


def test_killed_before_the_place_is_kept_it_ships_again_rather_than_never(found: Node, journal: Journald) -> None:
    journal.say("zookeeper.service", "one", "two")
    (found.machine.root / "step-done").unlink(missing_ok=True)
    with shipping(found, "before:keep place:kill") as process:
        assert process.wait(60) == -signal.SIGKILL
    assert streams(found)["zookeeper"] == ["one", "two"]
    journal.say("zookeeper.service", "three")
    with shipping(found):
        until(found, arrived(found, "zookeeper", "three"), "the rest")
    assert sorted(streams(found)["zookeeper"]) == ["one", "one", "three", "two", "two"]


def children(process: "subprocess.Popen[str]") -> str:
    return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()


@pytest.mark.parametrize(
    "fault",
    [
        "aws_outage",
        "lose_answer",
        pytest.param("aws_unavailable", marks=pytest.mark.long),
        pytest.param("throttle", marks=pytest.mark.long),
        pytest.param("deny", marks=pytest.mark.long),
    ],
)
def test_nothing_is_lost_while_aws_is_away(found: Node, journal: Journald, fault: str) -> None:
    lines = [f"line {number}" for number in range(50)]
    with shipping(found) as process:
        journal.say("zookeeper.service", *lines[:10])
        until(found, arrived(found, "zookeeper", *lines[:10]), "the first lines")
        calls = {"calls": "logs:*"}
        make = getattr(found.region, fault)
        trouble = make("logs:*", found.machine, times=4) if fault == "lose_answer" else None
        trouble = trouble or (make("logs:*", found.machine) if fault == "deny" else None)
        trouble = trouble or (make(found.machine) if fault == "aws_outage" else make(found.machine, **calls))
        journal.say("zookeeper.service", *lines[10:30])
        until(found, lambda: trouble.met >= 4, "the trouble was met")
        if fault != "lose_answer":
            until(found, lambda: not children(process), "no reader holds files open that journald deletes")
        journal.say("zookeeper.service", *lines[30:])
        trouble.end()
        until(found, arrived(found, "zookeeper", *lines), "all lines")
    assert process.stdout is not None
    said = process.stdout.read()
    assert list(dict.fromkeys(streams(found)["zookeeper"])) == lines
    assert said.count("nothing is shipped for now, the journal keeps it: logs:") == 1, said
    assert said.count("shipping again, after") == 1, said


def test_what_was_never_shipped_goes_when_the_group_is_made(found: Node, journal: Journald) -> None:
    logs = found.region.client("logs")
    logs.delete_log_group(logGroupName=GROUP)
    journal.say("zookeeper.service", "one")
    with shipping(found) as process:
        until(found, lambda: found.calls("logs:CreateLogStream"), "it tries")
        assert process.stdout is not None
        process.stdout.readline()
        assert "create the log group, or correct its name (aws.log_group;" in process.stdout.readline()
        logs.create_log_group(logGroupName=GROUP)
        until(found, arrived(found, "zookeeper", "one"), "the line")


def test_an_event_that_is_refused_holds_nothing_back(found: Node) -> None:
    now = int(time.time() * 1000)
    group = LogGroup(found.settings.aws, GROUP)
    backwards = [Event(now - second * 1000, f"{second} s ago") for second in range(4)]
    assert group.put("s", backwards) == 0, "each half alone is in order, in the end"
    old = Event(now - 15 * 86400 * 1000, "a fortnight ago")
    assert group.put("s", [old, Event(now, "now")]) <= 1
    assert len(streams(found)["s"]) == 5


def test_without_a_log_group_it_ends_well(found: Node) -> None:
    command = [sys.executable, "-m", "tests.lab.node", "ship", "--json"]
    ended = subprocess.run(command, env=found.machine.typed_environment(), capture_output=True, text=True, check=True)
    assert json.loads(ended.stdout)["message"] == "nothing is shipped, as aws.log_group is not set"
