"""Backups: to the emulated S3 against `tar czf` to the local disk, read back against `sha256sum`, and what writers feel of one.

The data directory is one snapshot and the logs after it, of text with a vocabulary: gzip leaves about a third of it. A backup's
time is that of the whole command less the reading back, which is a figure of its own; the files are in the page cache for both.
"""

import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from statistics import quantiles
from typing import NamedTuple

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException

from tests.bench.figures import Figure, Step
from tests.bench.turns import use
from tests.lab.errors import LabError
from tests.lab.group import Group
from tests.lab.machines import Machine
from tests.lab.region import BUCKET, Region

MIB = 1 << 20
SIZES = (("10 MiB", 10), ("1 GiB", 1024))
ZNODES = 400  # of 64 KiB: a tree of 25 MiB, written again and again
ZNODE = 64 << 10
WRITERS = 8
SETTLED = 5.0  # seconds of writing without a backup
SETTINGS = {"zookeeper": {"heap": "512m", "snap_count": 1_000_000}, "backup": {"interval": 0}}


class Writes(NamedTuple):
    """Each write's seconds, and those during which they were made."""

    latencies: list[float]
    seconds: float

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    @property
    def p99(self) -> float:
        return quantiles(self.latencies, n=100)[98] * 1000


def backup(samples: int, step: Step) -> Iterator[Figure]:
    with Region() as region:
        zk = region.group(size=3, settings=SETTINGS)
        zk.wait_serving(3)
        follower = zk.followers()[0]
        for name, mib in SIZES:
            step(f"writing {name}")
            fill(zk, follower, mib * MIB)
            yield from copies(zk, follower, name, samples, step)
        step("writing beside a backup")
        yield from felt(zk, follower, samples)


def copies(zk: Group, machine: Machine, name: str, samples: int, step: Step) -> Iterator[Figure]:
    ours, memory, tar, read, sums = [], [], [], [], []
    for _ in range(samples):
        step(f"{name}: tar czf")
        tar.append(timed("tar", "czf", "{target}/x.tar.gz", "-C", str(data_of(machine).parent), *files_of(machine)))
        step(f"{name}: zkboot backup")
        forget(zk)
        used = use(machine, "-m", "zkboot", "backup")
        (verified,) = marks(zk, ".verified.json")
        ours.append(used.wall / 1000 - float(verified["seconds"]))
        memory.append(used.memory)
        step(f"{name}: sha256sum")
        size = sum((data_of(machine).parent / file).stat().st_size for file in files_of(machine))
        sums.append(size / MIB / timed("sha256sum", *(str(data_of(machine).parent / file) for file in files_of(machine))))
        (manifest,) = marks(zk, ".manifest.json")
        read.append(sum(file["size"] for file in manifest["files"]) / MIB / float(verified["seconds"]))
    yield Figure(f"backup of {name} to S3", "s", tuple(ours), tuple(tar), "tar czf to the local disk")
    yield Figure(f"peak memory of a backup of {name}", "MiB", tuple(memory))
    yield Figure(
        f"verify {name} from S3, files' bytes", "MiB/s", tuple(read), tuple(sums), "sha256sum of the files (higher is better)"
    )
    forget(zk)


def felt(zk: Group, machine: Machine, samples: int) -> Iterator[Figure]:
    alone, beside = [], []
    for _ in range(samples):
        forget(zk)
        alone.append(writing(zk, None))
        beside.append(writing(zk, machine))
    rates = tuple(w.rate for w in beside), tuple(w.rate for w in alone)
    tails = tuple(w.p99 for w in beside), tuple(w.p99 for w in alone)
    yield Figure(
        f"writes of {WRITERS} clients beside a backup of {SIZES[-1][0]}", "1/s", *rates, "without one (higher is better)"
    )
    yield Figure("99th percentile of those writes", "ms", *tails, "without one")


def writing(zk: Group, machine: Machine | None) -> Writes:
    """Beside a backup on that machine, as its unit runs it (nice 19); without one for some seconds."""
    latencies: list[float] = []
    ended = threading.Event()
    threads = [threading.Thread(target=write, args=(zk, number, latencies, ended)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(1)  # until all are connected
        latencies.clear()
        began = time.monotonic()
        if machine is None:
            time.sleep(SETTLED)
        else:
            command = ["nice", "-n", "19", sys.executable, "-m", "zkboot", "backup"]
            environment = machine.typed_environment()
            subprocess.run(command, env=environment, cwd=machine.root, check=True, capture_output=True)
        return Writes(list(latencies), time.monotonic() - began)
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def write(zk: Group, number: int, latencies: list[float], ended: threading.Event) -> None:
    client = connected(zk)
    try:
        client.ensure_path("/felt")
        path = client.create(f"/felt/{number}-", b"", sequence=True)
        while not ended.is_set():
            began = time.monotonic()
            with suppress(KazooException):
                client.set(path, b"x" * 200)
                latencies.append(time.monotonic() - began)
    finally:
        client.stop()
        client.close()


def fill(zk: Group, machine: Machine, size: int) -> None:
    """Write until that node's logs hold so many bytes."""
    words = [f"{number:08x}" for number in random.Random(7).sample(range(1 << 32), 3000)]
    client = connected(zk)
    try:
        client.ensure_path("/fill")
        for number in range(ZNODES):
            with suppress(KazooException):
                client.create(f"/fill/{number}")
        number, written = 0, 0
        while written < size - 2 * MIB:
            batch = [client.set_async(f"/fill/{(number + at) % ZNODES}", text(words, number + at)) for at in range(16)]
            for answer in batch:
                answer.get(60)
            number, written = number + 16, sum((data_of(machine).parent / file).stat().st_size for file in files_of(machine))
            written = min(written, held_by(machine))
    finally:
        client.stop()
        client.close()


def held_by(machine: Machine) -> int:
    """Bytes on disk: a log's preallocated rest is a hole."""
    return sum((data_of(machine).parent / file).stat().st_blocks * 512 for file in files_of(machine))


def text(words: list[str], seed: int) -> bytes:
    chosen = random.Random(seed).choices(words, k=ZNODE // 9)
    return " ".join(chosen).encode()


def connected(zk: Group) -> KazooClient:
    client = KazooClient(",".join(f"{machine.address}:2181" for machine in zk.living), timeout=30)
    client.start(30)
    return client


def data_of(machine: Machine) -> Path:
    return machine.root / "vol/data/version-2"


def files_of(machine: Machine) -> list[str]:
    """What belongs into a copy: the newest snapshot, and the logs."""
    names = sorted(path.name for path in data_of(machine).iterdir() if path.name.startswith(("log.", "snapshot.")))
    return [f"version-2/{name}" for name in names]


def timed(*command: str) -> float:
    with tempfile.TemporaryDirectory() as target:
        began = time.monotonic()
        done = subprocess.run([word.format(target=target) for word in command], check=False, capture_output=True)
        if done.returncode not in (0, 1):  # 1 is tar's "file changed as we read it"
            raise LabError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.decode()}")
        return time.monotonic() - began


def keys(zk: Group) -> list[str]:
    return list(zk.region.objects(f"backups/{zk.plan.cluster}/"))


def marks(zk: Group, ending: str) -> list[dict[str, object]]:
    s3 = zk.region.client("s3")
    return [json.loads(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()) for key in keys(zk) if key.endswith(ending)]


def forget(zk: Group) -> None:
    """A backup is only made where something was written since the newest: there is none."""
    for key in keys(zk):
        zk.region.client("s3").delete_object(Bucket=BUCKET, Key=key)
