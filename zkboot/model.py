"""The words the policy speaks: facts gathered, and the decision made of them. Data only: no I/O, no clock, no opinion.

A fact that can be unlearnable has the type `T | Unknown`, one that can be absent `T | None`; the two are never mixed up.
Server addresses are IP addresses as text; instants (`modified`, `date`) are seconds since 1970 by the clock of S3 or
EC2, never the node's own.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Unknown(NamedTuple):
    """A fact that could not be learned, with the reason; unknown means wait."""

    why: str


HIGHEST_ID = 255  # of a ZooKeeper server


class Role(StrEnum):
    """What a server is in a configuration, in ZooKeeper's words."""

    PARTICIPANT = "participant"
    OBSERVER = "observer"


class Ports(NamedTuple):
    """Where a server listens. Clients, and zkboot itself, look for every server of an ensemble at one `client` port."""

    client: int = 2181
    quorum: int = 2888
    election: int = 3888


class Server(NamedTuple):
    """One `server.N=` line of a configuration. A new one of the own ensemble is made by `Words.line`."""

    id: int
    address: str
    role: Role = Role.PARTICIPANT
    client_port: int = Ports().client
    quorum_port: int = Ports().quorum
    election_port: int = Ports().election


class Configuration(NamedTuple):
    """An ensemble's membership at one version (the zxid of the reconfiguration; 0 for a file without a suffix)."""

    version: int
    servers: tuple[Server, ...]

    @property
    def voters(self) -> tuple[Server, ...]:
        return tuple(s for s in self.servers if s.role is Role.PARTICIPANT)

    @property
    def observers(self) -> tuple[Server, ...]:
        return tuple(s for s in self.servers if s.role is Role.OBSERVER)

    def server(self, server_id: int) -> Server | None:
        return next((s for s in self.servers if s.id == server_id), None)


class Scope(NamedTuple):
    """Where a cluster lives; a record of another scope is another's."""

    account: str
    region: str
    vpc: str
    group: str

    @property
    def region_of_account(self) -> tuple[str, str]:
        """As far as one EC2 knows the instances."""
        return self.account, self.region


class Me(NamedTuple):
    """This node, as the instance metadata tells it."""

    instance_id: str
    address: str
    zone: str
    scope: Scope


class Identity(NamedTuple):
    """Whose data it is: the content of the generation file beside the data, of the znode, and of a report."""

    cluster_id: str
    generation: int

    def __str__(self) -> str:
        return f"generation {self.generation} of cluster {self.cluster_id}"


class State(StrEnum):
    """The record's state; only `created` carries the promise that nothing acknowledged is lost."""

    CREATING = "creating"
    CREATED = "created"
    RESEEDING = "reseeding"
    RESTORING = "restoring"


class Claim(NamedTuple):
    """A server id's holder in the record. `claimed` is an instant (seconds since 1970, S3's clock)."""

    instance_id: str
    address: str
    zone: str
    claimed: float


class Intent(NamedTuple):
    """A person's command standing in the record: what is to be done, by which node, from what."""

    command: str  # reseed, restore, create
    instance_id: str  # the node it was typed on, which carries it out
    source: str  # for a restore the backup, prefix and name; else ""
    requested: float


class Record(NamedTuple):
    """The cluster's record (`control/<cluster>/record.json`), changed only by compare-and-set."""

    revision: int
    nonce: str
    cluster_id: str
    scope: Scope
    generation: int
    state: State
    seed: str  # instance id
    started: bool  # the seed's fence: set after its build, before its start
    created: tuple[int, ...]  # the generations that were created
    zk_epoch: int  # the next seed's ZooKeeper epoch is above this
    members: Mapping[int, Claim]
    source: str = (
        ""  # what the seed is built from: a backup, prefix and name ("" once it was given up), or an archive of the seed
    )
    intent: Intent | None = None


class Data(NamedTuple):
    """What a loadable disk holds. Epochs and zxid as ZooKeeper counts them; configurations as its files say."""

    current_epoch: int
    accepted_epoch: int
    zxid: int
    committed: Configuration | None
    pending: Configuration | None = None

    @property
    def ids(self) -> tuple[int, ...]:
        """Of every server that its configurations name."""
        configurations = [c for c in (self.committed, self.pending) if c]
        return tuple(sorted({server.id for c in configurations for server in c.servers}))

    @property
    def told(self) -> "Data":
        """As a report says it: its configurations with the voters alone, who are few however large the ensemble is."""
        return self._replace(committed=voters_alone(self.committed), pending=voters_alone(self.pending))


def voters_alone(configuration: Configuration | None) -> Configuration | None:
    """None where nobody votes."""
    return configuration._replace(servers=configuration.voters) if configuration and configuration.voters else None


class Holds(StrEnum):
    """What a report says of its node's disk; `empty` is a promise to stay stopped."""

    DATA = "data"
    EMPTY = "empty"
    JOINING = "joining"
    UNKNOWN = "unknown"


class Archive(NamedTuple):
    """Data renamed aside on a node: its folder's name, whose it was, and its last whole transaction."""

    name: str
    identity: Identity | None
    current_epoch: int
    zxid: int
    damaged: bool = False  # it failed verification: `zxid` is the last whole transaction before that


class Report(NamedTuple):
    """What one instance says of itself (`control/<cluster>/reports/<instance-id>.json`)."""

    instance_id: str
    address: str
    holds: Holds
    identity: Identity | None  # whose data, or None while it belongs to no cluster
    server_id: int | None
    revision: int  # the record's when this was written; 0 without a record
    data: Data | None
    archives: tuple[Archive, ...]
    read: float = 0.0  # S3's clock before the disk was read; the report may be written, and land, much later
    ids: tuple[int, ...] = ()  # of every server that the disk's configurations name; `data` has the voters alone
    etag: str = ""
    modified: float = 0.0


class DiskState(StrEnum):
    """`unknown`: no mount, an I/O error, no space; `damaged`: verified and found wrong by its content."""

    UNKNOWN = "unknown"
    EMPTY = "empty"
    DAMAGED = "damaged"
    DATA = "data"


class Disk(NamedTuple):
    """The own disk, and what the root disk remembers of it."""

    state: DiskState
    why: str = ""  # for unknown and damaged
    identity: Identity | None = None  # the generation file's
    server_id: int | None = None  # the generation file's
    myid: int | None = None  # ZooKeeper's own file's, where there is no generation file
    seeded: bool = False  # this node built it as the seed of its generation
    fenced: bool = False  # and the record said `started` before anything was started from it
    over: bool = False  # the record was seen to name a later generation: never started without its word
    marked: bool = False  # ZooKeeper's `initialize` marker lies there
    data: Data | None = None  # for data; for damaged what could still be read
    promised: bool = False  # the root disk's copy of an `empty` report: the server stays stopped
    archives: tuple[Archive, ...] = ()


class Mode(StrEnum):
    """What a server says of itself (`srvr`); NONE when it runs but does not serve."""

    LEADER = "leader"
    FOLLOWER = "follower"
    OBSERVER = "observer"
    STANDALONE = "standalone"
    NONE = "none"


SERVING = (Mode.LEADER, Mode.FOLLOWER, Mode.OBSERVER)


class Process(NamedTuple):
    """The own server: whether it runs, for how long (seconds), and what it says."""

    running: bool = False
    age: float = 0.0
    mode: Mode = Mode.NONE


class Quorum(NamedTuple):
    """A leader of this cluster and generation that is seen to serve, and who was seen beside it."""

    leader: int  # server id
    configuration: Configuration
    serving: frozenset[int]  # ids of the members that answered as leader, follower or observer
    synced: frozenset[str]  # addresses at which a server follows, voter or not, with its data in step
    proved: bool  # the identity znode of this generation is there: a write was acknowledged


class Foreign(NamedTuple):
    """A leader of another cluster whose configuration names this node's own server."""

    address: str
    cluster_id: str


class Instance(NamedTuple):
    """An instance as EC2 and the group know it; `lifecycle` is "" for one outside the group."""

    id: str
    address: str
    zone: str
    state: str  # EC2's: pending, running, shutting-down, stopping, stopped, terminated
    lifecycle: str  # the group's: Pending, Pending:Wait, InService, Terminating:Wait, …


class Group(NamedTuple):
    """The Auto Scaling group and every instance asked about, in one answer's time."""

    desired: int
    instances: Mapping[str, Instance]
    lists_me: bool  # the very answer knows this node's own instance
    date: float  # EC2's clock at the answer


class Backup(NamedTuple):
    """A backup, as far as the policy weighs it: whose data, and up to where."""

    name: str
    identity: Identity
    epoch: int
    zxid: int
    age: float | None  # seconds by S3's clock, since it is known to have held all that had been written; None: it never was


class Held(NamedTuple):
    """For how long, without a break, this node has found a condition true."""

    seconds: float
    since: float  # S3's clock when it was first found


class Limits(NamedTuple):
    """The settings that the policy weighs; durations in seconds."""

    max_voters: int = 5
    id_offset: int = 0
    staleness: float = 14.0  # how long a server may say what is no longer true
    start: float = 60.0  # how long a start may take before it counts as failed
    consistency: float = 300.0  # how long EC2 may not yet know an instance
    auto_restore: float = 0.0  # the greatest age of a backup restored unasked; 0 is off
    report: float = 20.0  # without a quorum, reports are written again this often
    backups: bool = False  # they are made, and so is a last one when the group goes to zero
    ports: Ports = Ports()  # of every server that is added


class Observation(NamedTuple):
    """All that one turn knows."""

    me: Me
    limits: Limits
    cluster: str
    taken: bool | Unknown  # the group is taking this instance
    record: Record | None | Unknown
    reports: Mapping[str, Report] | Unknown
    group: Group | Unknown
    witnesses: tuple[str, ...] | Unknown  # where a cluster id stands besides the record ("SSM parameter /zkboot/a/cluster-id")
    backup: Backup | None | Unknown  # the newest verified one; looked for only where it decides
    disk: Disk
    server: Process
    quorum: Quorum | None | Unknown
    foreign: Foreign | None = None
    date: float = 0.0  # S3's clock when the record was read, which is before the own disk was; 0 without a record
    held: Mapping[str, Held] = {}
    restarts: int = 0  # of the own server since the last quorum


class Action(StrEnum):
    """What a turn does; each but `halt`, `wait` and `healthy` is one function of `actions`."""

    HALT = "halt"
    OBEY = "obey"  # a person's command: stop, promise to stay stopped, report
    WAIT = "wait"
    LEAVE = "leave"
    LET_GO = "let go"  # taken, and nothing of the cluster left to take out
    ADOPT = "adopt"
    START = "start"
    REJOIN = "rejoin"  # archive a damaged or empty member's disk and join again
    RESTART = "restart"
    HEALTHY = "healthy"
    PROVE = "prove"  # the timed write that puts the identity znode
    SET_CREATED = "set created"
    LET_IN = "let in"  # complete the launch hook
    RECONFIGURE = "reconfigure"
    JOIN = "join"
    REPORT = "report"  # say what the disk holds instead of a report no longer true
    WITHDRAW = "withdraw"  # take an `empty` promise back: joining, raise the revision, data
    CREATE = "create"
    SEED = "seed"  # build, fence, start
    AWAIT_SEED = "await seed"  # stop an older generation's server until the seed leads
    RESEED = "reseed"
    RESTORE = "restore"


class Change(NamedTuple):
    """One reconfiguration call: applied only to the configuration of that version."""

    joining: tuple[Server, ...]
    leaving: tuple[int, ...]
    version: int


class Decision(NamedTuple):
    """What this turn does and why. `noted` are the conditions found true now, for the loop to time (`Observation.held`)."""

    row: int
    action: Action
    reason: str
    change: Change | None = None
    aside: bool = False  # move a pending configuration aside before the start
    back_up: bool = False  # what the disk holds, before the instance is let go
    noted: tuple[str, ...] = ()
