"""A cgroup (version 2) for each instance, below one of the lab's own.

Where version 1 is mounted beside it, systemd-nspawn makes the same folders there; they go with the others.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.lab.errors import NotPossibleHere

NAME = "zkboot-lab"


def top() -> Path:
    """The lab's own cgroup. Raises NotPossibleHere where version 2 is not mounted."""
    for kind, place in _mounted():
        if kind == "cgroup2":
            return place / NAME
    raise NotPossibleHere("no cgroup file system of version 2 is mounted (mount -t cgroup2)")


def everywhere(pattern: str) -> Iterator[Path]:
    """The lab's folders of that name, in every hierarchy."""
    for _, place in _mounted():
        yield from (place / NAME).glob(pattern)


def remove(name: str, patience: float = 5.0) -> None:
    """With all below it, as soon as its processes are gone; after `patience` seconds it stays."""
    deadline = time.monotonic() + patience
    while found := list(everywhere(name)):
        for folder in found:
            for path, _, _ in os.walk(folder, topdown=False):
                with suppress(OSError):
                    os.rmdir(path)
        if time.monotonic() > deadline:
            return
        time.sleep(0.02)


def remove_top() -> None:
    """Unless another lab is there."""
    for _, place in _mounted():
        with suppress(OSError):
            os.rmdir(place / NAME)


def _mounted() -> Iterator[tuple[str, Path]]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, kind = line.partition(" - ")
        if kind.startswith("cgroup"):
            yield kind.split()[0], Path(fields.split()[4])
