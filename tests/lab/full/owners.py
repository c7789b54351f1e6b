"""Who runs a full lab here. A region's folder is named 10.77-PID, after the process that it is of."""

from pathlib import Path

from tests.lab import processes
from tests.lab.region import LAB

PROGRAM = "tests.lab.full"


def owners() -> dict[int, Path]:
    """The processes of `make lab` that run, and their folders; tests in another terminal are not among them."""
    found = {owner(file.parent): file.parent for file in LAB.glob("10.77-*/region.json")}
    return {pid: folder for pid, folder in found.items() if processes.alive(pid) and PROGRAM in processes.command_line(pid)}


def owner(folder: Path) -> int:
    return int(folder.name.partition("-")[2])


def orphaned(folder: Path) -> bool:
    return not processes.alive(owner(folder))
