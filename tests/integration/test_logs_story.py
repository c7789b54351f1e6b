"""`zkboot logs` against the lab's CloudWatch Logs: on a node, and anywhere else."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping

import pytest

from tests.integration.aws import CLUSTER, REGION, Node, in_pages_of, node
from tests.lab.iam import ADMIN_KEY, ADMIN_SECRET
from zkboot.aws.logs import LogGroup

GROUP = f"/zkboot/{CLUSTER}"
INSTANCES = ("i-0a1", "i-0b2", "i-0c3")


@pytest.fixture(scope="module")
def found() -> Iterator[Node]:
    """Three instances have shipped: each second another one says its number."""
    with node() as found:
        logs = found.region.client("logs")
        logs.create_log_group(logGroupName=GROUP)
        now = int(time.time() * 1000)
        for index, instance in enumerate(INSTANCES):
            for unit in ("zookeeper", "zkboot-recover", "metrics"):
                put(
                    found,
                    f"{instance}/{unit}",
                    {now - (60 - second) * 1000: f"{unit} {second}" for second in range(index, 60, 3)},
                )
        put(found, "i-0a1/zookeeper", {now - 7200 * 1000: "long ago"})
        yield found


def put(found: Node, stream: str, events: Mapping[int, str]) -> None:
    logs = found.region.client("logs")
    if not logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=stream)["logStreams"]:
        logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
    told = [{"timestamp": at, "message": message} for at, message in sorted(events.items())]
    logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=told)


def of_the_node(found: Node) -> dict[str, str]:
    return dict(found.machine.typed_environment())


def of_an_operator(found: Node) -> dict[str, str]:
    """A machine without settings: credentials and a region, as every AWS tool has them."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ZKBOOT_"))}
    credentials = {"AWS_ACCESS_KEY_ID": ADMIN_KEY, "AWS_SECRET_ACCESS_KEY": ADMIN_SECRET, "AWS_REGION": REGION}
    return kept | credentials | {"AWS_ENDPOINT_URL": found.region.endpoint}


def run(environment: Mapping[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "zkboot", "logs", *arguments]
    return subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False, timeout=60)


def test_on_a_node_its_settings_tell_where_to_read(found: Node) -> None:
    done = run(of_the_node(found), "--set", f"aws.log_group={GROUP}", "--unit", "zookeeper", "--json")
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["message"] for event in told] == [f"zookeeper {second}" for second in range(60)]
    assert [event["instance"] for event in told] == list(INSTANCES) * 20
    assert [event["time"] for event in told] == sorted(event["time"] for event in told)


def test_an_operator_names_the_cluster(found: Node) -> None:
    done = run(of_an_operator(found), "--cluster", CLUSTER)
    lines = done.stdout.splitlines()
    assert len(lines) == 120 and "metrics" not in done.stdout, done.stderr
    assert [line.split(" ", 1)[0] for line in lines] == sorted(line.split(" ", 1)[0] for line in lines)
    assert lines[0].partition(" ")[2] in ("i-0a1 zookeeper: zookeeper 0", "i-0a1 zkboot-recover: zkboot-recover 0")
    one = run(of_an_operator(found), "--cluster", CLUSTER, "--instance", "i-0b", "--unit", "metrics")
    assert len(one.stdout.splitlines()) == 20 and {line.split()[1] for line in one.stdout.splitlines()} == {"i-0b2"}
    assert "long ago" in run(of_an_operator(found), "--cluster", CLUSTER, "--since", "1d", "--until", "1h").stdout


def test_pages_are_read_as_they_are_asked_for(found: Node) -> None:
    group = LogGroup(found.settings.aws, GROUP)
    in_pages_of(found.client("logs"), "FilterLogEvents", "limit", 7)
    before = found.calls("logs:FilterLogEvents")
    story = group.read(0, None, "")
    messages = [next(story).message for _ in range(8)]
    assert messages[0] == "long ago" and found.calls("logs:FilterLogEvents") == before + 2
    assert len(messages) + len(list(story)) == 181


def test_following_goes_on_until_it_is_interrupted(found: Node) -> None:
    command = [sys.executable, "-m", "zkboot", "logs", "--cluster", CLUSTER, "--instance", "i-0f", "--follow"]
    process = subprocess.Popen(command, env=of_an_operator(found), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    deadline = threading.Timer(60, process.kill)
    deadline.start()
    now = int(time.time() * 1000)
    put(found, "i-0f1/zookeeper", {now: "first"})
    assert process.stdout.readline().endswith("i-0f1 zookeeper: first\n")
    # Of another instance, earlier, and shipped later.
    put(found, "i-0f2/zookeeper", {now - 500: "late", now + 500: "second"})
    assert [process.stdout.readline().rpartition(": ")[2] for _ in range(2)] == ["late\n", "second\n"]
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=30)
    deadline.cancel()
    assert (rest, err, process.returncode) == ("", "", -signal.SIGINT)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--log-group", "/zkboot/none"], "FilterLogEvents on the log group /zkboot/none: ResourceNotFoundException"),
        (["--log-group", "/zkboot/none"], "create the log group, or correct its name (aws.log_group;"),
    ],
)
def test_what_is_not_there_is_said(found: Node, arguments: list[str], says: str) -> None:
    done = run(of_an_operator(found), "--cluster", CLUSTER, *arguments)
    assert done.returncode == 3 and says in done.stderr and "Traceback" not in done.stderr


def test_who_may_not_read_hears_which_permission_it_is(found: Node) -> None:
    with found.region.deny("logs:FilterLogEvents", found.machine):
        done = run(of_the_node(found), "--set", f"aws.log_group={GROUP}")
    assert done.returncode == 3 and "the instance role needs logs:FilterLogEvents there" in done.stderr


def test_without_credentials_it_says_what_to_set(found: Node) -> None:
    environment = {k: v for k, v in of_an_operator(found).items() if "KEY" not in k}
    nowhere = {"AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nonexistent"}
    done = run(environment | nowhere, "--cluster", CLUSTER)
    assert done.returncode == 3 and "set AWS_PROFILE" in done.stderr, done.stderr


def test_a_reader_that_has_gone_is_no_bug(found: Node) -> None:
    command = f"{sys.executable} -m zkboot logs --cluster {CLUSTER} | head -1"
    done = subprocess.run(["sh", "-c", command], env=of_an_operator(found), capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1 and not done.stderr
