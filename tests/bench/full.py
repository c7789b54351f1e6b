"""The full lab: where the time of a launch goes, what the image weighs, what runs on an instance.

Root, Linux and Packer; elsewhere it says why there are none.
zkboot's lines are stamped to the second, so `wait` and `bootstrap` are too.
"""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from tests.bench.figures import Figure, Step
from tests.lab import ensemble
from tests.lab.errors import LabError
from tests.lab.full.image import ensure
from tests.lab.full.machine import FullMachine
from tests.lab.full.region import FullRegion
from tests.lab.group import Group
from tests.lab.machines import CHECKOUT

FRESH = 240.0  # seconds
RECOVER = "import resource, subprocess; subprocess.run(['zkboot', 'recover', '--quiet'])"
PEAK = f"{RECOVER}; print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
ARGUMENTS = "/run/zkboot/java.arguments"


class Launch(NamedTuple):
    """Seconds of one instance, one after the other."""

    boot: float
    cloud_init: float
    wait: float
    bootstrap: float


def full(samples: int, step: Step) -> Iterator[Figure]:
    if subprocess.run([str(CHECKOUT / "tests/setup/lab")], check=False).returncode:
        print("SKIPPED: the figures of the full lab, for the reason above", file=sys.stderr)
        return
    step("building the image, unless it is cached")
    golden = ensure(lambda line: None)
    whole: list[float] = []
    launches: list[Launch] = []
    for number in range(samples):
        step("three instances are launched")
        with FullRegion(golden) as region:
            began = time.monotonic()
            zk = region.group(3)
            zk.wait_serving(3, FRESH)
            whole.append(time.monotonic() - began)
            zk.wait_until(lambda zk=zk: all(machine.first_boot_done for machine in instances(zk)), "cloud-init is done", FRESH)
            launches += [split(machine) for machine in instances(zk)]
            if number == samples - 1:
                step("looking at what runs")
                rest = [*weights(zk), *starts(zk, samples)]
    yield Figure("three instances launched to serving and in service", "s", tuple(whole))
    for name, what in (
        ("boot", "boot: power on until cloud-init begins"),
        ("cloud_init", "cloud-init until zkboot is called"),
        ("wait", "wait: until all are registered"),
        ("bootstrap", "bootstrap: until the group may count it"),
    ):
        yield Figure(f"  {what}", "s", tuple(getattr(launch, name) for launch in launches))
    yield from rest


def instances(zk: Group) -> list[FullMachine]:
    return [machine for machine in zk.living if isinstance(machine, FullMachine)]


def told(machine: FullMachine) -> str:
    return machine.file("/var/log/cloud-init-output.log")


def split(machine: FullMachine) -> Launch:
    """By the clocks of the hypervisor, of cloud-init and of zkboot, which are one."""
    log = machine.file("/var/log/cloud-init.log")
    stages = ("init-local/check-cache", "modules-final/config-scripts-user")
    began, called = (moment(log, rf"^(\S+ [\d:,]+) .*start: {stage}") for stage in stages)
    on = (machine.root / "machine.log").read_text().split()[0]
    power = datetime.combine(began.date(), datetime.strptime(on, "%H:%M:%S.%f").time())
    lines = [(stamp, text) for stamp, text in re.findall(r"^(\S+)Z (.*)$", told(machine), re.MULTILINE)]
    met = next(stamp for stamp, text in lines if "registered" not in text or text.startswith("all "))
    done = next(stamp for stamp, text in lines if "may count this instance" in text)
    met_at, done_at = (max(datetime.fromisoformat(stamp), called) for stamp in (met, done))
    steps = (power, began, called, met_at, done_at)
    return Launch(*((later - earlier).total_seconds() for earlier, later in pairwise(steps)))


def moment(text: str, pattern: str) -> datetime:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise LabError(f"cloud-init.log has no line like {pattern}")
    return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S,%f")


def weights(zk: Group) -> Iterator[Figure]:
    machine, *_ = instances(zk)
    used = machine.run("du", "--summarize", "--one-file-system", "--block-size=1M", "/").stdout.split()[0]
    yield Figure("the image's files (Debian's root included, no kernel)", "MiB", (float(used),))
    servers = [pss(m.server_pid) for m in instances(zk)]
    yield Figure("memory of the server (heap 128m)", "MiB", tuple(servers))
    peaks = [float(m.run("python3", "-c", PEAK).stdout.split()[-1]) / 1024 for m in instances(zk)]
    yield Figure("memory of zkboot while a turn runs (peak)", "MiB", tuple(peaks))


def pss(pid: int) -> float:
    """A process's own share of memory, in MiB (proc(5), smaps_rollup)."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:")) / 1024


def starts(zk: Group, samples: int) -> Iterator[Figure]:
    """A follower's server, started by systemd with the arguments that zkboot wrote, and with those without the archive."""
    machine = next(m for m in zk.followers() if isinstance(m, FullMachine))
    machine.freeze_zkboot()
    with_archive = tuple(start(zk, machine) for _ in range(samples))
    machine.run("sed", "--in-place", "/SharedArchiveFile/d", ARGUMENTS)
    without = tuple(start(zk, machine) for _ in range(samples))
    machine.thaw_zkboot()
    yield Figure(
        "a server started until its client port is open (before any election), with the class-data archive",
        "s",
        with_archive,
        without,
        "without it",
    )


def start(zk: Group, machine: FullMachine) -> float:
    machine.run("systemctl", "stop", "zookeeper.service")
    began = time.monotonic()
    machine.run("systemctl", "start", "zookeeper.service")
    zk.wait_until(lambda: open_for_clients(machine.address), "its client port is open")
    took = time.monotonic() - began
    zk.wait_until(machine.answer, "it serves again", FRESH)
    return took


def open_for_clients(address: str) -> bool:
    try:
        socket.create_connection((address, ensemble.CLIENT_PORT), 1.0).close()
    except OSError:
        return False
    return True
