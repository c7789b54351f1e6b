"""A lab that is killed leaves nothing behind: its instances end with it, and `make lab-down` finds nothing to complain about."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab import processes
from tests.lab.full import cgroups
from tests.lab.full.down import down
from tests.lab.full.ec2 import Image
from tests.lab.machines import CHECKOUT
from tests.lab.region import LAB

# One instance with a data volume, of the image that is named on the command line.
LAB_OF_ONE = """
import sys, time
from pathlib import Path
from tests.lab.full.ec2 import Image
from tests.lab.full.region import FullRegion
image = Image("crash", "123456789012", tuple(map(Path, sys.argv[1:])), {})
with FullRegion(image) as region:
    zk = region.group(1)
    region.wait_until(lambda: zk.living and zk.living[0].init, "it boots")
    print(zk.living[0].root, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def lab(golden: Image) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-c", LAB_OF_ONE, *map(str, golden.layers)]
    process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("hypervisor_too", [False, True], ids=["lab", "lab-and-hypervisor"])
def test_a_killed_lab_leaves_nothing(lab: "subprocess.Popen[str]", hypervisor_too: bool) -> None:
    assert lab.stdout is not None
    root = Path(lab.stdout.readline().strip())
    nspawn = processes.pid_of(root / "nspawn.pid")
    hypervisor = processes.stat(nspawn)[1]
    assert root.name in Path(f"/proc/{hypervisor}/mountinfo").read_text()
    os.kill(lab.pid, signal.SIGKILL)
    if hypervisor_too:
        os.kill(hypervisor, signal.SIGKILL)
    lab.wait()
    until(lambda: not processes.alive(nspawn) and not processes.alive(hypervisor), "the container has ended")
    said: list[str] = []
    assert down(said.append), said
    assert not root.exists() and not (cgroups.top() / root.parent.name).exists()
    assert str(LAB) not in Path("/proc/self/mountinfo").read_text()
    until(lambda: str(root)[-63:] not in loops(), "the loop device is free")


def loops() -> str:
    command = ["losetup", "--list", "--noheadings", "--output", "BACK-FILE"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def until(condition: Callable[[], object], what: str, seconds: float = 150.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)
