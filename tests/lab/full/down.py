"""The end of a lab, however it was left: its processes, cgroups and folders, and nobody else's.

Mounts, namespaces and loop devices are held by the hypervisors alone and end with them. What has no owner any more is found
by the lab's marks: the environment of its processes, the names of its folders and cgroups.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.lab import processes
from tests.lab.full import cgroups
from tests.lab.full.owners import orphaned, owners
from tests.lab.region import LAB, sweep

PATIENCE = 90.0  # seconds for a lab that runs to end by itself


def down(tell: Callable[[str], None]) -> bool:
    """Whether nothing is left."""
    for pid in owners():
        tell(f"ending the lab of process {pid}")
        os.kill(pid, signal.SIGTERM)
        if not ended(pid):
            tell(f"process {pid} does not end by itself: killing it")
            os.kill(pid, signal.SIGKILL)
            ended(pid)
    sweep()
    clean_cgroups()
    left = sorted(str(folder) for folder in remains())
    tell("nothing of the full lab is left" if not left else "still there: " + ", ".join(left))
    return not left


def ended(pid: int) -> bool:
    deadline = time.monotonic() + PATIENCE
    while processes.alive(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not processes.alive(pid)


def clean_cgroups() -> None:
    """Those of regions that are gone; processes in them are gone with their hypervisors."""
    for folder in orphans():
        for path in folder.rglob("cgroup.procs"):
            processes.send(map(int, path.read_text().split()), signal.SIGKILL)
    for name in {folder.name for folder in orphans()}:
        cgroups.remove(name)
    cgroups.remove_top()


def orphans() -> list[Path]:
    """A region's cgroup is named as its folder: 10.77-PID."""
    return [folder for folder in cgroups.everywhere("10.77-*") if orphaned(folder)]


def remains() -> Iterator[Path]:
    yield from filter(orphaned, LAB.glob("10.77-*"))
    yield from orphans()
