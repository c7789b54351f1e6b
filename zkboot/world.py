"""What the loop needs of the world: seven small protocols, so that it runs against AWS and real servers, and against a
simulated world.

Every method may raise `UnknownFact` (the fact could not be learned, or it is not known whether the effect happened).
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from zkboot.model import Archive, Backup, Change, Configuration, Disk, Group, Identity, Me, Mode, Process


class Stored(NamedTuple):
    """One object of the store. `modified` and `date` are the store's own clock, seconds since 1970."""

    body: bytes
    etag: str
    modified: float
    date: float


class Listed(NamedTuple):
    """One line of a listing."""

    key: str
    etag: str
    modified: float


class Store(Protocol):
    """The bucket and the secrets."""

    def get(self, key: str) -> Stored | None:
        """The object, or None when the store says 404 (and the role may list: else a 403 is UnknownFact)."""

    def put(self, key: str, body: bytes, match: str | None) -> str:
        """Write by compare-and-set: `match` is the ETag to replace, None when nothing may be there. Returns the new ETag.

        Raises Stale when the precondition failed (412; it may be one's own retried write), UnknownFact when the
        outcome is not known.
        """

    def list(self, prefix: str) -> tuple[Listed, ...]:
        """Every object under the prefix, all pages."""

    def secret(self, name: str) -> str | None:
        """A parameter's value, decrypted; None when it does not exist."""

    def create_secret(self, name: str, value: str) -> bool:
        """Put a SecureString once, never overwriting; False when one was there already."""


class GroupApi(Protocol):
    """The Auto Scaling group and EC2."""

    def describe(self, instance_ids: frozenset[str]) -> Group:
        """The group, its instances and those named: one answer that includes this node's own instance where EC2 knows it."""

    def complete(self, hook: str) -> bool:
        """Complete the named lifecycle hook of this instance (CONTINUE); False when it does not wait (any more)."""

    def heartbeat(self, hook: str) -> None:
        """Keep the named hook waiting a little longer."""

    def activity(self) -> str:
        """What the group's own activity log gives as the newest reason for a missing instance, or ""."""


class Metadata(Protocol):
    """The instance metadata service, version 2."""

    def me(self) -> Me: ...

    def taken(self) -> bool:
        """Whether the group's target state for this instance is Terminated (or a warm pool's)."""


class Peer(NamedTuple):
    """What a server answered to `srvr` (and a leader to `mntr`)."""

    mode: Mode
    zxid: int
    synced_followers: int = 0  # a leader's, non-voting ones not counted
    quorum_size: int = 0  # a leader's: the voters of its configuration


class View(NamedTuple):
    """What a live server shows to a client: its configuration, and the identity znode (None when absent)."""

    configuration: Configuration
    identity: Identity | None


class ServerApi(Protocol):
    """The own server process, and the ensemble as it answers."""

    def process(self) -> Process: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def ask(self, addresses: frozenset[str]) -> dict[str, Peer | None]:
        """`srvr` of each address at once; None for one that does not answer in time or not at all."""

    def view(self, address: str) -> View:
        """The configuration and the identity znode, read through that server."""

    def reconfigure(self, address: str, password: str, change: Change) -> Configuration:
        """One compare-and-set reconfiguration through that server; returns the configuration as re-read afterwards.

        Raises Stale when the version no longer is `change.version` or the ensemble refuses for now (the message says why).
        """

    def prove(self, address: str, password: str, identity: Identity, former: Identity | None = None) -> None:
        """A timed write of the identity znode through that server: a quorum acknowledged it when this returns.

        Another cluster's znode stops it, but for that of `former`, whose backup this ensemble was restored from.
        """


class DiskApi(Protocol):
    """The data and configuration folders, and the small state on the root disk."""

    def read(self) -> Disk: ...

    def archive(self) -> Archive | None:
        """Rename data, generation file and configuration aside; killed anywhere, the next call completes it. None
        when nothing was there."""

    def bring_back(self, name: str) -> None:
        """Make that archive the disk again, where the disk is empty; done already is no error."""

    def adopt(self, identity: Identity, server_id: int, configuration: Configuration) -> None:
        """Take in data that others made: the ensemble's configuration beside it, then the generation file."""

    def build_empty(self, identity: Identity, server_id: int, configuration: Configuration, epoch: int) -> None:
        """A creation's disk: marked, this node alone in the configuration; the generation file last. Above 0, both epoch files
        hold `epoch`, below which no leader of an earlier generation was."""

    def build_from_own(self, identity: Identity, server_id: int, configuration: Configuration, epoch: int) -> None:
        """A reseed's disk from this node's own data: both epoch files raised to `epoch`, no pending configuration;
        the generation file last."""

    def build_joiner(self, identity: Identity, server_id: int, configuration: Configuration) -> None:
        """A joiner's: generation file, no marker, a configuration that holds the members and itself as observer, of a version
        below theirs."""

    def fence(self) -> None:
        """Write into the generation file that the record says `started`: a seed's disk may now be started without
        asking again."""

    def mark_over(self) -> None:
        """Write into the generation file that the record was seen to name a later generation: the disk may no longer be started
        without asking. Gone with the next build."""

    def prepare_start(self, digest: str | None, aside: bool) -> None:
        """Right before a start: zoo.cfg from the settings with its dynamic file kept, the kept pending configuration put back
        (or moved aside). `digest` None keeps the one in place."""

    def promise(self) -> None:
        """Write the root disk's copy of an `empty` report."""

    def release(self) -> None:
        """Remove it."""

    def load(self) -> dict[str, object]:
        """The small state of the loop (this boot's notes); {} when there is none."""

    def save(self, state: dict[str, object]) -> None: ...


class Clock(Protocol):
    """The node's own clocks; no decision rests on their agreement with another's."""

    def now(self) -> float:
        """Seconds since 1970, for log lines."""

    def monotonic(self) -> float:
        """Seconds since boot, suspended time included."""

    def boot_id(self) -> str: ...

    def sleep(self, seconds: float) -> None: ...


class BackupsApi(Protocol):
    """The backups, as far as a turn needs them. What is named by prefix and name is a `source`."""

    def traces(self) -> str:
        """What lies where this cluster's backups do, in words; "" for nothing."""

    def newest(self, cluster_id: str) -> Backup | None:
        """The newest of that cluster that was verified, and not found damaged since."""

    def last(self, tell: Callable[[str], None]) -> None:
        """Back up what this node's disk holds, its server stopped for good. Raises ZkbootError."""

    def backup(self, source: str) -> Backup:
        """Raises Damaged when it is not there, or its manifest is none."""

    def unpack(
        self,
        source: str,
        name: str,
        identity: Identity,
        server_id: int,
        tell: Callable[[str], None],
        keep: Callable[[], None],
    ) -> None:
        """Download a backup, verify it to its last record, and leave it as the archive `name` on this node's disk, from which
        `bring_back` makes the unfenced disk of that identity's seed. Whole or not at all; the disk itself is not touched. `keep`
        is called with each piece.

        Raises Damaged when the backup is (it is marked so), Unfit, NoRoom.
        """


class World(NamedTuple):
    """The seven together."""

    store: Store
    group: GroupApi
    metadata: Metadata
    server: ServerApi
    disk: DiskApi
    clock: Clock
    backups: BackupsApi
