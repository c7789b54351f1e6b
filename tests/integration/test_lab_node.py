"""The lab's program of a machine: zkboot itself, with its clock moved and its steps interrupted."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.lab.machines import CHECKOUT

STEPS = """
from tests.lab.node import interrupt
interrupt({order!r})
from zkboot.steps import step
with step("claim"):
    print("claimed", flush=True)
print("on", flush=True)
"""


def run(program: str, root: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"ZKBOOT_LAB_MACHINE": str(root)}
    return subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False
    )


def test_it_is_zkboot(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.lab.node", "version"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    plain = subprocess.run([sys.executable, "-m", "zkboot", "version"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout == plain.stdout


def test_a_step_is_interrupted_once_before_or_after_it(tmp_path: Path) -> None:
    before = STEPS.format(order="before:claim:kill")
    first, second = run(before, tmp_path), run(before, tmp_path)
    assert (first.returncode, first.stdout) == (-signal.SIGKILL, "")
    assert (second.returncode, second.stdout) == (0, "claimed\non\n")
    after = run(STEPS.format(order="after:claim:exit"), tmp_path)
    assert (after.returncode, after.stdout) == (1, "claimed\n")


def test_other_steps_pass(tmp_path: Path) -> None:
    assert run(STEPS.format(order="before:reconfigure:kill"), tmp_path).stdout == "claimed\non\n"


def test_zkboots_clock_is_moved(tmp_path: Path) -> None:
    program = """
import os, sys, time
os.environ.update(ZKBOOT_LAB_CLOCK_OFFSET="600", ZKBOOT_LAB_BOOT="boot-1")
sys.argv = ["zkboot", "version"]
from tests.lab import node
node.main()
from zkboot.clock import NodeClock
print(round(NodeClock().now() - time.time()), NodeClock().boot_id())
"""
    assert run(program, tmp_path).stdout.splitlines()[-1] == "600 boot-1"
