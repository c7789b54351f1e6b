"""The journals of booted instances in the log group, and the story that `zkboot logs` makes of them."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.full.machine import FullMachine
from tests.lab.group import Group
from zkboot import metrics

UNIT = "zkboot-logs.service"
END = "serving as "


def log_group(zk: Group) -> str:
    return f"/zkboot/{zk.plan.cluster}"


def streams(zk: Group, machine: FullMachine) -> dict[str, list[str]]:
    """What that instance has shipped, by unit."""
    logs, told = zk.region.client("logs"), {}
    found = logs.describe_log_streams(logGroupName=log_group(zk), logStreamNamePrefix=f"{machine.instance_id}/")["logStreams"]
    for stream in found:
        name = stream["logStreamName"]
        events = logs.get_log_events(logGroupName=log_group(zk), logStreamName=name, startFromHead=True)["events"]
        told[name.partition("/")[2]] = [event["message"] for event in events]
    return told


def machines(zk: Group) -> list[FullMachine]:
    return [machine for machine in zk.living if isinstance(machine, FullMachine)]


def test_each_instance_has_its_streams(zk: Group) -> None:
    for machine in machines(zk):

        def shipped(unit: str, word: str, machine: FullMachine = machine) -> bool:
            return any(word in message for message in streams(zk, machine).get(unit, ()))

        zk.wait_until(lambda: shipped("cloud-init-main", END), f"{machine} ships the last line of its boot")
        zk.wait_until(lambda: shipped("zookeeper", "binding to port"), f"{machine} ships what its server says")
        zk.wait_until(lambda: shipped("metrics", '"Quorum": 1'), f"{machine} ships its figures")
        told = streams(zk, machine)
        for line in machine.file("/var/log/cloud-init-output.log").splitlines():
            assert not line.strip() or line in told["cloud-init-main"], line
        for document in map(json.loads, told["metrics"]):
            named = [m["Name"] for directive in document["_aws"]["CloudWatchMetrics"] for m in directive["Metrics"]]
            assert named and set(named) <= metrics.METRICS.keys() & document.keys()
            assert (document["Cluster"], document["Instance"]) == (zk.plan.cluster, machine.instance_id)
        assert told["zkboot-logs"][0].endswith(f"shipping the journal to {log_group(zk)}, as {machine.instance_id}/UNIT")
        assert not [line for line in told.get("zkboot-recover", ()) if "Finished" in line or "Deactivated" in line]
    assert not zk.region.gateway.refused


def test_the_story_of_three_instances_is_told_in_order(zk: Group) -> None:
    first = list(zk.machines.values())[:3]
    done = machines(zk)[0].run("zkboot", "logs", "--since", "1d", "--json")
    assert done.returncode == 0, done.stdout
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["time"] for event in told] == sorted(event["time"] for event in told)
    for machine in first:
        (end, *_) = [e for e in told if e["instance"] == machine.instance_id and END in e["message"]]
        assert end["unit"] == "cloud-init-main"
    assert {event["unit"] for event in told} >= {"zookeeper", "cloud-init-main"}
    assert "metrics" not in {event["unit"] for event in told}
    one = machines(zk)[0].run("zkboot", "logs", "--since", "1d", "--unit", "zookeeper", "--instance", first[0].instance_id)
    assert one.stdout and all(f" {first[0].instance_id} zookeeper: " in line for line in one.stdout.splitlines())


def test_a_shipper_that_is_killed_goes_on_and_stays_small(zk: Group) -> None:
    machine = machines(zk)[0]
    before = machine.pids_of_unit(UNIT)
    machine.run("systemctl", "kill", "--signal=KILL", UNIT)
    machine.run("systemd-cat", "--identifier=trouble", "--priority=err", "echo", "after the kill")
    zk.wait_until(lambda: "after the kill" in streams(zk, machine).get("system", ()), "it ships again")
    now = machine.pids_of_unit(UNIT)
    assert now and not set(now) & set(before)
    assert sum(own_memory(pid) for pid in now) < 64 << 20


KMSG = "/run/kmsg"
DROP_IN = "/run/systemd/system/systemd-journald.service.d/kmsg.conf"


@pytest.fixture
def kernel(zk: Group) -> Iterator[Callable[[int, int, str], None]]:
    """Says something on the first machine as the kernel does: a number, a priority and a text, and returns when journald has it.

    Containers share a kernel, which tells them nothing, and so a pipe stands where journald alone looks for it. The form is that
    of /dev/kmsg in "The Linux kernel user's and administrator's guide": priority, number, microseconds, flags; the text.
    """
    machine = machines(zk)[0]

    def says(number: int, priority: int, text: str) -> None:
        machine.run("sh", "-c", f"echo '{priority},{number},{number}000000,-;{text}' 1<>{KMSG}")
        told = ("journalctl", "--quiet", "--dmesg", "--output=cat")
        zk.wait_until(lambda: text in machine.run(*told).stdout, f"journald has it from the kernel: {text}")

    machine.run("mkfifo", KMSG)
    machine.run("mkdir", "--parents", DROP_IN.rpartition("/")[0])
    machine.run("sh", "-c", f"printf '[Service]\\nBindPaths={KMSG}:/dev/kmsg\\n' >{DROP_IN}; systemctl daemon-reload")
    # Whoever starts journald opens it too, and would wait for a reader.
    reader = subprocess.Popen(machine.inside("sh", "-c", f"exec sleep 300 <>{KMSG}"))
    machine.run("systemctl", "restart", "systemd-journald.service")
    yield says
    machine.run(
        "sh", "-c", f"rm {DROP_IN}; systemctl daemon-reload; systemctl restart systemd-journald.service; rm {KMSG} /dev/kmsg"
    )
    reader.kill()
    reader.wait()


def test_the_kernels_trouble_is_shipped(zk: Group, kernel: Callable[[int, int, str], None]) -> None:
    machine, trouble = machines(zk)[0], "EXT4-fs error (device nvme1n1): ext4_find_entry: reading directory lblock 0"
    kernel(1, 6, "EXT4-fs (nvme1n1): mounted filesystem")
    kernel(2, 3, trouble)
    zk.wait_until(lambda: "kernel" in streams(zk, machine), "the kernel's trouble is shipped")
    assert streams(zk, machine)["kernel"] == [trouble]


def own_memory(pid: int) -> int:
    """In bytes, what would be free without that process."""
    found = re.findall(r"^Private_\w+: +(\d+) kB$", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return sum(map(int, found)) * 1024
