"""A node of a large ensemble: the real clients against the lab's AWS, where every member is an instance of one group and every
other cluster an object; the servers and the disk, which do not ask AWS, are plain answers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from moto.autoscaling.models import FakeAutoScalingGroup
from moto.ec2.models.instances import Instance
from moto.s3.models import s3_backends

from tests.integration.aws import CLUSTER, IDLE, Node, node_of
from tests.lab.iam import ACCOUNT, PARTITION
from tests.lab.region import BUCKET, Region
from zkboot import documents
from zkboot import record as records
from zkboot.aws.session import clients
from zkboot.model import (
    Claim,
    Configuration,
    Data,
    Disk,
    DiskState,
    Holds,
    Identity,
    Mode,
    Process,
    Record,
    Report,
    Role,
    Server,
    State,
)
from zkboot.world import BackupsApi, Clock, DiskApi, GroupApi, Peer, ServerApi, Store, Stored, View, World

IDENTITY = Identity("0" * 32, 1)
VOTERS = 5
VERSION = 7 << 32


class Crowd(Region):
    """A region whose instances have no machines, but the first, whose idle one lends its metadata service."""

    def _power_on(self, instance: Instance, asg: FakeAutoScalingGroup) -> None:
        if not self.machines:
            super()._power_on(instance, asg)

    def _power_off(self, instance: Instance) -> None:
        if instance.id in self.machines:
            super()._power_off(instance)


class Asked:
    """The node's store and group, and how many bytes of bodies have gone through."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.bytes = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._node.store if hasattr(self._node.store, name) else self._node.autoscaling, name)

        def ask(*arguments: Any) -> Any:
            found = method(*arguments)
            bodies = [found, *arguments]
            self.bytes += sum(len(body.body if isinstance(body, Stored) else body) for body in bodies if is_body(body))
            return found

        return ask


def is_body(value: object) -> bool:
    return isinstance(value, (Stored, bytes))


class Members:
    """Every member's answers, and the own disk. `serves`: under server 1, which is this node; else all run and none leads."""

    def __init__(self, configuration: Configuration, serves: bool) -> None:
        self.configuration = configuration
        self.by_address = {server.address: server for server in configuration.servers}
        self.serves = serves
        self.notes: dict[str, object] = {}

    def process(self) -> Process:
        return Process(True, 1000.0, Mode.LEADER if self.serves else Mode.NONE)

    def ask(self, addresses: frozenset[str]) -> dict[str, Peer | None]:
        return {address: self._answer(address) for address in addresses} if self.serves else dict.fromkeys(addresses)

    def _answer(self, address: str) -> Peer | None:
        server = self.by_address.get(address)
        if server is None:
            return None
        if server.id == 1:
            voters = len(self.configuration.voters)
            return Peer(Mode.LEADER, VERSION + 99, voters - 1, voters)
        return Peer(Mode.FOLLOWER if server.role is Role.PARTICIPANT else Mode.OBSERVER, VERSION + 99)

    def view(self, address: str) -> View:
        return View(self.configuration, IDENTITY)

    def read(self) -> Disk:
        data = Data(7, 7, VERSION + 99, self.configuration)
        return Disk(DiskState.DATA, "", IDENTITY, 1, data=data)

    def load(self) -> dict[str, object]:
        return dict(self.notes)

    def save(self, state: dict[str, object]) -> None:
        self.notes = dict(state)


class StillClock:
    def now(self) -> float:
        return 1_800_000_000.0

    def monotonic(self) -> float:
        return 1_000.0

    def boot_id(self) -> str:
        return "boot"

    def sleep(self, seconds: float) -> None:
        """No turn measured here waits."""


class Ensemble:
    """`size` members, of which this node is the first; record and reports are in the bucket."""

    def __init__(self, region: Region, size: int) -> None:
        clients.cache_clear()  # regions follow each other on the same addresses, with other credentials
        group = region.group(size, name="zk", cluster=CLUSTER, command=IDLE, heartbeat_timeout=3600, max_size=size, hooks=False)
        region.wait_until(lambda: len(group.asg.instance_states) == size, "the group has its instances", 120)
        self.node: Node = node_of(region, group, next(iter(group.machines.values())), {})
        states = {state.instance.id: state.instance for state in group.asg.instance_states}
        own = self.node.machine.instance_id
        instances = [states.pop(own), *states.values()]
        roles = [Role.PARTICIPANT] * VOTERS + [Role.OBSERVER] * size
        self.servers = tuple(
            Server(number, instance.private_ip, role)
            for number, (instance, role) in enumerate(zip(instances, roles, strict=False), 1)
        )
        self.configuration = Configuration(VERSION, self.servers)
        self.record = self._record(instances)
        self.reports = [self._report(server, instance) for server, instance in zip(self.servers, instances, strict=True)]
        put(records.record_key(CLUSTER), documents.record_to_json(self.record))
        for report in self.reports:
            put(records.report_key(CLUSTER, report.instance_id), documents.report_to_json(report))

    def _record(self, instances: list[Instance]) -> Record:
        members = {
            server.id: Claim(instance.id, server.address, instance.availability_zone, 1_700_000_000.0)
            for server, instance in zip(self.servers, instances, strict=True)
        }
        me = self.node.metadata.me()
        return Record(9, "0" * 16, IDENTITY.cluster_id, me.scope, 1, State.CREATED, me.instance_id, True, (1,), 0, members)

    def _report(self, server: Server, instance: Instance) -> Report:
        data = Data(7, 7, VERSION + server.id, self.configuration)
        return Report(
            instance.id, server.address, Holds.DATA, IDENTITY, server.id, self.record.revision, data.told, (), ids=data.ids
        )

    def world(self, serves: bool) -> tuple[World, Asked]:
        asked, members = Asked(self.node), Members(self.configuration, serves)
        store, group = cast(Store, asked), cast(GroupApi, asked)
        server, disk, clock = cast(ServerApi, members), cast(DiskApi, members), cast(Clock, StillClock())
        return World(store, group, self.node.metadata, server, disk, clock, cast(BackupsApi, asked)), asked


@contextmanager
def ensemble(size: int) -> Iterator[Ensemble]:
    with Crowd() as region:
        yield Ensemble(region, size)


def other_clusters(count: int) -> None:
    """Each with a record, three reports and a backup, in the same bucket; a third of the names begin as this cluster's does."""
    for number in range(count):
        cluster = f"{CLUSTER}-{number}" if number % 3 == 0 else f"other-{number}"
        put(records.record_key(cluster), b"{}")
        for member in range(3):
            put(records.report_key(cluster, f"i-{number:04}{member}"), b"{}")
        put(f"backups/{cluster}/20260101T000000Z.manifest.json", b"{}")


def put(key: str, body: bytes) -> None:
    s3_backends[ACCOUNT][PARTITION].put_object(BUCKET, key, body)
