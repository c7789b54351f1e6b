"""Real servers beside one lab region, and a backup of them as one of the region's nodes makes it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kazoo.client import KazooClient

from tests.integration.aws import BUCKET, CLUSTER, Node
from tests.integration.servers import DEADLINE, IDENTITY, PASSWORD, Machine
from zkboot import backups
from zkboot.aws.backups import S3Backups
from zkboot.aws.s3 import S3Store
from zkboot.backup import catalogue, verify
from zkboot.backup.manifest import Manifest
from zkboot.backup.restore import NodeBackups
from zkboot.clock import NodeClock
from zkboot.settings_keys import Backup, Settings
from zkboot.world import World
from zkboot.zookeeper import contents

PREFIX = f"backups/{CLUSTER}/"


class Place:
    """A raw server as a node of the region: the settings of both in one, and everything that is said."""

    def __init__(self, aws: Node, machine: Machine, **backup: Any) -> None:
        self.machine = machine
        self.settings: Settings = machine.settings._replace(
            cluster=CLUSTER, aws=aws.settings.aws, backup=Backup(prefix=PREFIX, bucket=BUCKET, **backup)
        )
        self.store = S3Backups(self.settings)
        self.second = S3Backups.of_copies(self.settings)
        self.said: list[str] = []
        store, backups = S3Store(self.settings), NodeBackups(self.store, self.settings, self.copy)
        self.world = World(store, aws.autoscaling, aws.metadata, machine.server, machine.disk, NodeClock(), backups)
        self._admin = aws.region.client("s3")

    def copy(self, tell: Callable[[str], None]) -> None:
        backups.typed(self.world, self.store, self.settings, tell)

    def typed(self) -> None:
        backups.typed(self.world, self.store, self.settings, self.said.append, self.second)

    def scheduled(self) -> None:
        backups.scheduled(self.world, self.store, self.settings, self.said.append, self.second)

    def verify(self, manifest: Manifest) -> None:
        verify.verify(self.store, self.settings, manifest, "a test", self.said.append)

    def listed(self) -> catalogue.Catalogue:
        return catalogue.read(self.store, PREFIX)

    def newest(self) -> Manifest:
        """The manifest of the newest backup."""
        newest = self.listed().newest
        assert newest is not None, self.said
        return catalogue.load(self.store, PREFIX, newest.name)

    # What an administrator sees and does.

    def keys(self) -> set[str]:
        listed = self._admin.list_objects_v2(Bucket=BUCKET, Prefix=PREFIX).get("Contents", ())
        return {entry["Key"].removeprefix(PREFIX) for entry in listed}

    def unfinished(self) -> list[str]:
        """Uploads that were begun and neither completed nor aborted."""
        return [upload["Key"] for upload in self._admin.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())]

    def get(self, name: str) -> bytes:
        return bytes(self._admin.get_object(Bucket=BUCKET, Key=PREFIX + name)["Body"].read())

    def put(self, name: str, body: bytes) -> None:
        self._admin.put_object(Bucket=BUCKET, Key=PREFIX + name, Body=body)

    def remove(self, *names: str) -> None:
        for name in names:
            self._admin.delete_object(Bucket=BUCKET, Key=PREFIX + name)

    def remove_all(self) -> None:
        self.remove(*self.keys())

    def remove_record(self) -> None:
        self._admin.delete_object(Bucket=BUCKET, Key=f"control/{CLUSTER}/record.json")


def prove(machine: Machine) -> None:
    """Write the identity znode, by which an ensemble is known."""
    machine.server.prove(machine.address, PASSWORD, IDENTITY)


@contextmanager
def client(machine: Machine, session: float = 10) -> Iterator[KazooClient]:
    """`session` is its timeout, in seconds."""
    zk = KazooClient(f"{machine.address}:2181", timeout=session)
    zk.start(DEADLINE)
    try:
        yield zk
    finally:
        zk.stop()
        zk.close()


def held(data_dir: Path, log_dir: Path | None = None) -> contents.Contents:
    """What a server would load from these folders."""
    return contents.Reader(str(data_dir), str(log_dir or data_dir), 2 << 20).read()
