"""A group whose data directories hold as much as is asked for, and its bucket.

The data directory is one snapshot and the logs after it, of text with a vocabulary: gzip leaves about a third of it.
"""

import json
import random
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException

from tests.backup.bucket import prefix
from tests.lab.errors import LabError
from tests.lab.group import Group
from tests.lab.machines import Machine
from tests.lab.region import BUCKET

MIB = 1 << 20
SIZES = (("10 MiB", 10), ("1 GiB", 1024))
ZNODES = 400  # of 64 KiB: a tree of 25 MiB, written again and again
ZNODE = 64 << 10
SETTINGS = {"zookeeper": {"heap": "512m", "snap_count": 1_000_000, "sync_limit": 20}, "backup": {"interval": 0}}


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
                with suppress(KazooException):  # a busy machine's servers may elect anew
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
    client = KazooClient(hosts_of(zk), timeout=30)
    client.start(30)
    return client


def hosts_of(zk: Group) -> str:
    return ",".join(f"{machine.address}:2181" for machine in zk.living)


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
    return list(zk.region.objects(prefix(zk)))


def marks(zk: Group, ending: str) -> list[dict[str, object]]:
    s3 = zk.region.client("s3")
    return [json.loads(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()) for key in keys(zk) if key.endswith(ending)]


def forget(zk: Group) -> None:
    """A backup is only made where something was written since the newest: there is none. Its versions go too, for their room."""
    s3 = zk.region.client("s3")
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET, Prefix=prefix(zk)):
        for version in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            s3.delete_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])
