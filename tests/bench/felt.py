"""What writers feel of a backup: their rate and their slowest writes beside one, against beside nothing, and against beside what
a person would do, `nice -n 19 tar czf` of the same files.

The emulated S3 is on this machine, and the real one is not: here it gets what the servers leave of the processors.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import quantiles
from typing import NamedTuple

from tests.bench.figures import Figure, Step
from tests.bench.filled import SIZES, data_of, files_of, forget, hosts_of
from tests.lab.group import Group
from tests.lab.machines import CHECKOUT, Machine

WRITERS = 8
SETTLED = 5.0  # seconds of writing beside nothing
LOWEST = 19  # nice


class Writes(NamedTuple):
    """The seconds that each took, and those during which they were made."""

    latencies: list[float]
    seconds: float

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    @property
    def p99(self) -> float:
        """Milliseconds."""
        return quantiles(self.latencies, n=100)[98] * 1000


class Writers:
    """`tests.bench.writers`; `during` gives what was written while something else was done."""

    def __init__(self, zk: Group) -> None:
        command = [sys.executable, "-m", "tests.bench.writers", hosts_of(zk), str(WRITERS)]
        self._process = subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._process.stdout.readline()
        self._began = time.monotonic()

    def end(self) -> Writes:
        seconds = time.monotonic() - self._began
        told = json.loads(self._process.communicate()[0])
        return Writes([took for at, took in told if self._began <= at - took and at <= self._began + seconds], seconds)


def felt(zk: Group, machine: Machine, samples: int, step: Step) -> Iterator[Figure]:
    alone, beside, by_hand = [], [], []
    with yielding(zk):
        for _ in range(samples):
            step("writing beside nothing")
            alone.append(writing(zk, ["sleep", str(SETTLED)], machine))
            step("writing beside zkboot backup")
            forget(zk)
            beside.append(writing(zk, [sys.executable, "-m", "zkboot", "backup"], machine))
            step("writing beside tar czf")
            with tempfile.TemporaryDirectory() as folder:
                tar = ["tar", "czf", f"{folder}/x.tar.gz", "-C", str(data_of(machine).parent), *files_of(machine)]
                by_hand.append(writing(zk, ["nice", "-n", str(LOWEST), *tar], machine))
    for against, others in (("without one", alone), ("beside nice -n 19 tar czf", by_hand)):
        rates = tuple(w.rate for w in beside), tuple(w.rate for w in others)
        tails = tuple(w.p99 for w in beside), tuple(w.p99 for w in others)
        size = SIZES[-1][0]
        yield Figure(f"writes of {WRITERS} clients beside a backup of {size}", "1/s", *rates, f"{against} (higher is better)")
        yield Figure("  99th percentile of those writes", "ms", *tails, against)


def writing(zk: Group, command: list[str], machine: Machine) -> Writes:
    """While that command runs, on that machine."""
    writers = Writers(zk)
    subprocess.run(command, env=machine.typed_environment(), cwd=machine.root, check=False, capture_output=True)
    return writers.end()


@contextmanager
def yielding(zk: Group) -> Iterator[None]:
    """The threads that answer for S3 begin with the priority of the one that accepts connections (nice(2) is a thread's)."""
    thread = zk.region.gateway.thread
    before = os.getpriority(os.PRIO_PROCESS, thread)
    os.setpriority(os.PRIO_PROCESS, thread, LOWEST)
    yield
    os.setpriority(os.PRIO_PROCESS, thread, before)
