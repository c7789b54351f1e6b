"""A situation's words made into an `Observation`: who lives, who says what, what lies on the disks, who votes.

This node is server 1 on i-1. Without a quorum the others are `other` (2), `third` (3), a dead claim (4) and a seed that is
gone (10). With
one, the other voters are 2 to 5, the observers 6 and 7, a second claimant 8, and a launched instance without a claim i-9.
The record's generation is 2, its revision 7; too few voters were first found at second 1,000 of S3's clock.
"""

from functools import cache
from typing import NamedTuple

from zkboot.model import (
    Archive,
    Backup,
    Claim,
    Configuration,
    Data,
    Disk,
    DiskState,
    Foreign,
    Group,
    Held,
    Holds,
    Identity,
    Instance,
    Intent,
    Limits,
    Me,
    Mode,
    Observation,
    Process,
    Quorum,
    Record,
    Report,
    Role,
    Scope,
    Server,
    State,
    Unknown,
)
from zkboot.words import ALONE, NO_QUORUM, SILENT, UNSEEN, absent, too_few_at

CLUSTER, FOREIGN_CLUSTER = "cluster-of-ours", "cluster-of-others"
SCOPE = Scope("1", "eu-west-1", "vpc-1", "keepers")
LIMITS = Limits(auto_restore=3600.0, backups=True)
NOW, FOUND, REVISION, GENERATION = 10_000.0, 1_000.0, 7, 2
GONE = 10  # the id of a seed that is terminated
PATIENCE = {"short": 5.0, "long": 100.0}

RECORDS = (
    "absent",
    "unknown",
    *(
        f"{state}, seed {seed}, {started}"
        for state in ("creating", "reseeding", "restoring")
        for seed in ("me", "other", "gone")
        for started in ("started", "not started")
    ),
    "restoring, seed me, given up",
    "restoring, seed other, given up",
    "created, seed me",
    "created, seed other",
)
DISKS = (
    "unknown",
    "empty",
    "empty, marked",
    "empty, a joiner's",
    "empty, built by me, unfenced",
    "empty, built by me, fenced",
    "damaged",
    "data",
    "data, built by me, unfenced",
    "data, built by me, fenced",
    "data of an older generation",
    "data of a generation seen to be over",
    "data of nobody",
)
BEFORE = "data before zkboot"  # of no cluster, with the myid of the line at this node's address: only where there is a quorum
OWN_REPORTS = ("nothing", "unknown", "empty", "joining", "data", "data stale")
SERVERS = ("stopped", "young", "old", "follows", "leads")
EARLY = "empty, before the record"
ANOTHERS = ("another's beside it", "another's as the service")  # servers that serve here from another folder
LIVES = ("runs", "waits", "stopped", "being taken", "terminated", "not listed", "not listed once", "not listed, just claimed")
SAYS = (
    "nothing",
    "unknown",
    "empty",
    "empty, with an archive",
    "joining",
    "data",
    "data ahead",
    "data stale",
    "data at an old revision",
    "data of an older generation",
    "data of nobody",
)
BACKUPS = ("none", "behind", "ahead", "unknown", "ahead, too old", "ahead, of an older generation")


class Alone(NamedTuple):
    """A situation without a quorum (or with it unknown). The defaults are the calmest: a member of three, restarting."""

    record: str = "created, seed other"
    claim: str = "mine"
    disk: str = "data"
    configuration: str = "three"  # committed on the disks of the generation
    own: str = "data"
    promise: bool = False
    server: str = "stopped"
    archive: bool = False
    taken: str = "no"
    group: str = "known"
    desired: int = 3
    reports: str = "known"
    other: tuple[str, str] = ("runs", "data")
    third: tuple[str, str] = ("runs", "data")
    witnesses: str = "none"
    backup: str = "none"
    no_quorum: str = "short"
    too_few: str = "no"
    quorum: str = "none"
    conflict: str = "none"


class Among(NamedTuple):
    """A situation with a quorum. The defaults are the calmest: a voter of three that serves."""

    record: str = "created, seed other"
    claim: str = "mine"
    disk: str = "data"
    own: str = "data"
    promise: bool = False
    server: str = "follows"
    archive: bool = False
    taken: str = "no"
    group: str = "known"
    desired: int = 3
    reports: str = "known"
    place: str = "voter"
    lifecycle: str = "InService"
    voters: tuple[str, ...] = ("serves", "serves")
    observers: tuple[str, ...] = ()
    claimant: bool = False  # another node, not in the configuration, whose server is in step
    newcomer: bool = False  # an instance just launched that has claimed nothing yet
    alone: str = "no"  # since when this node waits for a second one
    in_step: bool = False
    proved: bool = True


Situation = Alone | Among


def story(s: Situation) -> str:
    """What sets the situation apart from the calmest, for a reader."""
    calm = type(s)()
    told = [f"{name.replace('_', ' ')}: {said(value)}" for name, value in s._asdict().items() if value != getattr(calm, name)]
    return f"{'without' if isinstance(s, Alone) else 'with'} a quorum; " + ("; ".join(told) or "all calm")


def said(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)


def oddness(s: Situation) -> int:
    """How far from the calmest: the smallest counterexample is the one least odd."""
    calm = type(s)()
    return sum(value != other for value, other in zip(s, calm, strict=True))


def stage(record: str) -> str:
    return record.split(",", maxsplit=1)[0]


def instance_id(server_id: int) -> str:
    return f"i-{server_id}"


def address(server_id: int) -> str:
    return f"10.0.0.{server_id}"


def zone(server_id: int) -> str:
    return "abc"[server_id % 3]


def server(server_id: int, role: Role = Role.PARTICIPANT) -> Server:
    return Server(server_id, address(server_id), role)


ME = Me(instance_id(1), address(1), zone(1), SCOPE)


# --- what the situation's words mean


@cache
def configurations(name: str) -> tuple[Configuration | None, Configuration | None]:
    """(committed, pending) on the disks of the generation."""

    def of(version: int, *ids: int) -> Configuration:
        return Configuration(version, tuple(map(server, ids)))

    return {
        "three": (of(5, 1, 2, 3), None),
        "readdressed": (Configuration(5, (Server(1, address(99)), server(2), server(3))), None),
        "two": (of(5, 1, 2), None),
        "me": (of(5, 1), None),
        "other": (of(5, 2), None),
        "others": (of(5, 2, 3), None),
        "other newer": (of(5, 1, 2, 3), None),
        "growing": (of(5, 1), of(6, 1, 2)),
        "growing, the other dead": (of(5, 1, 2, 3), of(6, 1, 2, 3, 4)),
        "entering": (of(5, 2, 3), of(6, 1, 2, 3)),
        "none": (None, None),
    }[name]


@cache
def record_of(name: str, claim: str, conflict: str, members: tuple[int, ...], fresh: tuple[int, ...]) -> Record | None | Unknown:
    if name == "absent":
        return None
    if name == "unknown":
        return Unknown("S3: timed out reading the record")
    words = name.split(", ")
    seed = {"seed me": 1, "seed other": 2, "seed gone": GONE}[words[1]]
    holders = {i: instance_id(i) for i in members}
    if claim == "mine":
        holders[1] = ME.instance_id
    elif claim == "another's":
        holders[1] = "i-77"
    if seed == GONE:
        holders[GONE] = instance_id(GONE)
    claims = {i: Claim(h, address(i), zone(i), NOW - (10.0 if i in fresh else 5_000.0)) for i, h in sorted(holders.items())}
    state = State(words[0])
    return Record(
        revision=REVISION,
        nonce="n",
        cluster_id=CLUSTER,
        scope=SCOPE._replace(region="us-east-1") if conflict == "scope" else SCOPE,
        generation=GENERATION,
        state=state,
        seed=instance_id(seed),
        started=words[-1] not in ("not started", "given up"),
        created={State.CREATED: (1, 2), State.CREATING: ()}.get(state, (1,)),
        zk_epoch=0,
        members=claims,
        source="backups/x/backup-1"
        if state is State.RESTORING and words[-1] != "given up"
        else "adopt"
        if words[-1] == "adopted"
        else "",
        intent=Intent("reseed", "i-2", "", NOW) if conflict == "intent" else None,
    )


OURS, OLDER, NEWER = Identity(CLUSTER, GENERATION), Identity(CLUSTER, 1), Identity(CLUSTER, 3)
ARCHIVE = Archive("1-20260101T000000Z", OLDER, 1, 0x1000000F0)


@cache
def disk_of(name: str, configuration: str, promised: bool, archive: bool, kept: int) -> Disk:
    committed, pending = configurations(configuration)
    archives = (ARCHIVE,) if archive else ()
    data = Data(2, 2, 0x200000010, committed, pending)
    empty = Disk(DiskState.EMPTY, promised=promised, archives=archives)
    full = Disk(DiskState.DATA, identity=OURS, server_id=kept, data=data, promised=promised, archives=archives)
    older = full._replace(identity=OLDER, data=data._replace(current_epoch=1, zxid=0x1000000FF))
    return {
        "unknown": Disk(DiskState.UNKNOWN, "the volume is not mounted", promised=promised),
        "empty": empty,
        "empty, marked": empty._replace(marked=True),
        "empty, a joiner's": empty._replace(identity=OURS, server_id=kept),
        "empty, built by me, unfenced": empty._replace(identity=OURS, server_id=kept, seeded=True, marked=True),
        "empty, built by me, fenced": empty._replace(identity=OURS, server_id=kept, seeded=True, marked=True, fenced=True),
        "damaged": Disk(
            DiskState.DAMAGED, "log.200000001: a checksum is wrong", OURS, kept, promised=promised, archives=archives
        ),
        "data": full,
        "data, built by me, unfenced": full._replace(seeded=True),
        "data, built by me, fenced": full._replace(seeded=True, fenced=True),
        "data of an older generation": older,
        "data of a generation seen to be over": older._replace(over=True),
        "data of nobody": full._replace(identity=None, server_id=None, data=data._replace(committed=None, pending=None)),
        BEFORE: full._replace(identity=None, server_id=None),
        "data of another cluster": full._replace(identity=Identity(FOREIGN_CLUSTER, 1)),
        "data of a newer generation": full._replace(identity=NEWER),
    }[name]


@cache
def report_of(server_id: int, says: str, configuration: str) -> Report | None:
    if says == "nothing":
        return None
    committed, pending = configurations(configuration)
    if configuration == "other newer" and server_id == 2:
        committed = Configuration(6, (server(2), server(3)))
    zxid = {"data ahead": 0x200000020}.get(says, 0x200000010 if server_id in (1, 3) else 0x200000008)
    data = Data(2, 2, zxid, committed, pending)
    identity: Identity | None = OURS
    if says == "data of an older generation":
        identity, data = OLDER, data._replace(current_epoch=1, zxid=0x1000000FF)
    if says == "data of nobody":
        identity, data = None, data._replace(committed=None, pending=None)
    holds = Holds(says.split(maxsplit=1)[0].rstrip(","))
    return Report(
        instance_id=instance_id(server_id),
        address=address(server_id),
        holds=holds,
        identity=identity if holds is Holds.DATA else None,
        server_id=server_id,
        revision=0 if says == EARLY else REVISION - (says == "data at an old revision"),
        data=data.told if holds is Holds.DATA else None,
        archives=(ARCHIVE,) if says == "empty, with an archive" else (),
        etag="e",
        read=FOUND - 100.0 if says == "data stale" else FOUND + 50.0,
        ids=data.ids if holds is Holds.DATA else (),
    )


@cache
def instance_of(server_id: int, life: str) -> Instance | None:
    if life.startswith("not listed"):
        return None
    state, lifecycle = {
        "runs": ("running", "InService"),
        "launched": ("running", "Pending:Wait"),
        "waits": ("running", "Pending:Wait"),
        "stopped": ("stopped", ""),
        "being taken": ("running", "Terminating:Wait"),
        "terminated": ("terminated", ""),
    }[life]
    return Instance(instance_id(server_id), address(server_id), zone(server_id), state, lifecycle)


@cache
def group_of(label: str, desired: int, lives: tuple[tuple[int, str], ...]) -> Group | Unknown:
    if label == "unknown":
        return Unknown("DescribeAutoScalingGroups: throttled")
    listed = {i: instance_of(i, life) for i, life in lives}
    if label == "does not list me":
        del listed[1]
    return Group(desired, {instance_id(i): x for i, x in listed.items() if x is not None}, label == "known", NOW)


BACKUP: dict[str, Backup | None | Unknown] = {
    "none": None,
    "behind": Backup("backup-1", OLDER, 1, 0x100000005, 100.0),
    "ahead": Backup("backup-1", OURS, 2, 0x2000000FF, 100.0),
    "ahead, too old": Backup("backup-1", OURS, 2, 0x2000000FF, 100_000.0),
    "ahead, of an older generation": Backup("backup-1", OLDER, 2, 0x2000000FF, 100.0),
    "unknown": Unknown("S3: AccessDenied listing the backups"),
}
WITNESSES: dict[str, tuple[str, ...] | Unknown] = {
    "none": (),
    "one": ("the parameter /zkboot/x/cluster-id",),
    "unknown": Unknown("SSM: timed out"),
}
TAKEN: dict[str, bool | Unknown] = {"no": False, "yes": True, "unknown": Unknown("the metadata service does not answer")}
PROCESSES = {
    "stopped": Process(),
    "young": Process(True, 10.0, Mode.NONE),
    "old": Process(True, 1_000.0, Mode.NONE),
    "old, silent a moment": Process(True, 1_000.0, Mode.NONE),
    "follows": Process(True, 10.0, Mode.FOLLOWER),
    "leads": Process(True, 10.0, Mode.LEADER),
    ANOTHERS[0]: Process(),
    ANOTHERS[1]: Process(True, 1_000.0, Mode.NONE),
}


def silence_of(server: str) -> dict[str, Held]:
    """For how long the own server runs without serving."""
    process = PROCESSES[server]
    if not process.running or process.mode is not Mode.NONE:
        return {}
    return {SILENT: Held(PATIENCE["short"] if server == "old, silent a moment" else process.age, FOUND)}


def observe(s: Situation) -> Observation:
    return observe_alone(s) if isinstance(s, Alone) else observe_among(s)


def observe_alone(s: Alone) -> Observation:
    lives = [(1, "being taken" if s.taken == "yes" else "runs"), (2, s.other[0]), (3, s.third[0])]
    if "seed gone" in s.record:
        lives.append((GONE, "terminated"))
    if "dead" in s.configuration:
        lives.append((4, "terminated"))
    reports = {
        r.instance_id: r
        for r in (report_of(i, says, s.configuration) for i, says in ((1, s.own), (2, s.other[1]), (3, s.third[1])))
        if r
    }
    held = {name: Held(PATIENCE[s.no_quorum], FOUND) for name in (NO_QUORUM, UNSEEN)} | silence_of(s.server)
    if s.too_few == "long, before a raise":
        held[too_few_at(REVISION - 1)] = Held(PATIENCE["long"], FOUND)
    elif s.too_few != "no":
        held[too_few_at(REVISION)] = Held(PATIENCE[s.too_few], FOUND)
    for i, life in lives:
        if life.startswith("not listed"):
            held[absent(instance_id(i))] = Held(PATIENCE["short" if life == "not listed once" else "long"], FOUND)
    fresh = tuple(i for i, life in lives if life == "not listed, just claimed")
    return Observation(
        me=ME,
        limits=LIMITS,
        cluster="keepers",
        taken=TAKEN[s.taken],
        record=record_of(s.record, s.claim, s.conflict, (2, 3, 4) if "dead" in s.configuration else (2, 3), fresh),
        reports=Unknown("S3: 503 listing the reports") if s.reports == "unknown" else reports,
        group=group_of(s.group, s.desired, tuple(lives)),
        witnesses=WITNESSES[s.witnesses],
        backup=BACKUP[s.backup],
        disk=disk_of(s.disk, s.configuration, s.promise, s.archive, 1),
        server=PROCESSES[s.server],
        quorum=None if s.quorum == "none" else Unknown("10.0.0.2 leads, its configuration could not be read"),
        foreign=Foreign(address(9), FOREIGN_CLUSTER) if s.conflict == "foreign" else None,
        held=held,
    )


def serving_voters(s: Among) -> tuple[int, int]:
    """(voters serving, voters)."""
    mine = s.place == "voter"
    other_id = s.place.startswith("outside, my")
    serving = sum(kind in ("serves", "taken") for kind in s.voters) + (mine and s.server in ("leads", "follows"))
    return serving, len(s.voters) + mine + other_id


LIFE = {"serves": "runs", "spare": "runs", "silent": "runs", "dead": "terminated", "taken": "being taken"}


def observe_among(s: Among) -> Observation:
    voters, observers = list(enumerate(s.voters, 2)), list(enumerate(s.observers, 6))
    mine = {
        "voter": (server(1),),
        "observer": (server(1, Role.OBSERVER),),
        "outside": (),
        "outside, my address another id's": (Server(5, address(1)),),
        "outside, my id at another address": (Server(1, address(99)),),
    }[s.place]
    servers = (*mine, *(server(i) for i, _ in voters), *(server(i, Role.OBSERVER) for i, _ in observers))
    serving = {i for i, kind in voters + observers if kind in ("serves", "spare", "taken")}
    here = next((x.id for x in mine if x.address == ME.address), None)
    if here is not None and s.server in ("leads", "follows", *ANOTHERS):
        serving.add(here)
    lives = [(i, LIFE[kind]) for i, kind in voters + observers]
    lives.append((1, "being taken" if s.taken == "yes" else "waits" if s.lifecycle == "Pending:Wait" else "runs"))
    members = [i for i, _ in voters + observers]
    if s.claimant:
        lives.append((8, "runs"))
        members.append(8)
    if s.newcomer:
        lives.append((9, "waits"))
    if "seed gone" in s.record:
        lives.append((GONE, "terminated"))
    synced = ({address(1)} if s.in_step and not s.place.startswith(("voter", "observer")) else set()) | (
        {address(8)} if s.claimant else set()
    )
    reported = {1: s.own} | ({i: "data" for i, life in lives if i != 1 and life != "terminated"} if s.reports == "all" else {})
    reports = {r.instance_id: r for r in (report_of(i, says, "three") for i, says in reported.items()) if r}
    return Observation(
        me=ME,
        limits=LIMITS,
        cluster="keepers",
        taken=TAKEN[s.taken],
        record=record_of(s.record, s.claim, "none", tuple(members), ()),
        reports=Unknown("S3: 503 listing the reports") if s.reports == "unknown" else reports,
        group=group_of(s.group, s.desired, tuple(sorted(lives))),
        witnesses=(),
        backup=None,
        disk=disk_of(s.disk, "three", s.promise, s.archive, 1)._replace(myid=(here or 1) if s.disk == BEFORE else None),
        server=PROCESSES[s.server],
        quorum=Quorum(
            leader=1 if s.server == "leads" else next(i for i, kind in voters if kind in ("serves", "taken")),
            configuration=Configuration(5, servers),
            serving=frozenset(serving),
            synced=frozenset(synced),
            proved=s.proved,
        ),
        held=({ALONE: Held(PATIENCE[s.alone], FOUND)} if s.alone != "no" else {}) | silence_of(s.server),
    )
