"""Every setting: the annotated fields of the classes below are the one source of truth.

They hold type, default, bounds and a line of help of each key; from them come the checks, `zkboot config` and the reference in
the documentation. Durations are seconds unless a help line names another unit.

A light turn reads the settings: nothing dear is imported here.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, NamedTuple

from zkboot.model import HIGHEST_ID, Limits, Ports

Passed = str | int | bool


class Form(NamedTuple):
    """What a string must look like: in words, and as a test."""

    words: str
    fits: Callable[[str], bool]


class Rule(NamedTuple):
    """What is said and asked of one key beside its type. `low` and `high` bound numbers and are allowed themselves."""

    help: str
    low: float = 0
    high: float = float("inf")
    form: Form | None = None


def _of(alphabet: str, least: int, most: int) -> Callable[[str], bool]:
    return lambda text: least <= len(text) <= most and set(text) <= set(alphabet)


def _is_path(text: str) -> bool:
    return text.startswith("/") and text.isprintable() and os.path.normpath(text) == text and text != "/"


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://")) and len(text) > len("https://") and " " not in text and text.isprintable()


def _is_metadata(text: str) -> bool:
    authority = text.removeprefix("http://").rstrip("/")
    port = "80" if authority.endswith("]") or ":" not in authority else authority.rpartition(":")[2]
    return text.startswith("http://") and _is_word(authority) and "/" not in authority and port.isdecimal()


def _is_prefix(text: str) -> bool:
    reached = (text + "/").startswith("control/") or "control/".startswith(text)
    return _is_word(text) and not text.startswith("/") and not reached


def _is_heap(text: str) -> bool:
    return text[:-1].isdecimal() and text[-1] in "mMgG"


def _is_word(text: str) -> bool:
    return bool(text) and text.isprintable() and " " not in text


def _optional(form: Form) -> Form:
    return Form(f'"" or {form.words}', lambda text: not text or form.fits(text))


_SMALL = "abcdefghijklmnopqrstuvwxyz0123456789-"
NAME = Form("1 to 40 of a-z, 0-9 and -", _of(_SMALL, 1, 40))
BUCKET = Form("a bucket's name (3 to 63 of a-z, 0-9, - and .)", _of(_SMALL + ".", 3, 63))
PATH = Form("an absolute path without .. or a slash at its end", _is_path)
URL = Form("http://... or https://...", _is_url)
METADATA = Form("http://HOST or http://HOST:PORT", _is_metadata)
WORD = Form("one word", _is_word)
LINE = Form("one line of text", str.isprintable)
SERVICE = Form('"systemd" or "process"', ("systemd", "process").__contains__)
HEAP = Form('a size for -Xmx such as "512m" or "2g"', _is_heap)
FLAG = Form("options that begin with - (the heap is zookeeper.heap)", lambda text: text.startswith("-") and text[:4] != "-Xmx")
MODE = Form('"hot" or "cold"', ("hot", "cold").__contains__)
SSE = Form('"", "AES256" or "aws:kms"', ("", "AES256", "aws:kms").__contains__)
PREFIX = Form("what keys begin with, such as backups/a/: no slash first, and nothing of control/", _is_prefix)
NO_BUCKET, NO_PREFIX = _optional(BUCKET), _optional(PREFIX)
NO_PATH, NO_URL, NO_WORD, NO_HEAP = _optional(PATH), _optional(URL), _optional(WORD), _optional(HEAP)


class Aws(NamedTuple):
    bucket: Annotated[str, Rule("the S3 bucket of records, reports and backups", form=BUCKET)]
    region: Annotated[str, Rule('the region; "" asks the instance metadata', form=NO_WORD)] = ""
    group: Annotated[str, Rule('the Auto Scaling group; "" asks the instance\'s tags, then the group API', form=LINE)] = ""
    endpoint_url: Annotated[str, Rule('another address for every AWS service; "" is AWS\'s own', form=NO_URL)] = ""
    metadata_endpoint: Annotated[str, Rule("the instance metadata service", form=METADATA)] = "http://169.254.169.254"
    log_group: Annotated[str, Rule('the CloudWatch log group; "" is none', form=NO_WORD)] = ""
    launch_hook: Annotated[str, Rule("the launch hook, completed when the node serves", form=WORD)] = "zkboot-launch"
    termination_hook: Annotated[str, Rule("the termination hook, completed when the node has left", form=WORD)] = (
        "zkboot-terminate"
    )
    secret: Annotated[str, Rule('SSM parameter of the super password; "" is /zkboot/<cluster>/super', form=NO_WORD)] = ""
    witness: Annotated[str, Rule('SSM parameter of the cluster id; "" is /zkboot/<cluster>/cluster-id', form=NO_WORD)] = ""


class Node(NamedTuple):
    conf_dir: Annotated[str, Rule("the folder of zoo.cfg, which ZooKeeper rewrites", form=PATH)] = "/etc/zookeeper"
    data_dir: Annotated[str, Rule("ZooKeeper's dataDir", form=PATH)] = "/var/lib/zookeeper/data"
    data_log_dir: Annotated[str, Rule('ZooKeeper\'s dataLogDir; "" is data_dir', form=NO_PATH)] = ""
    state_dir: Annotated[str, Rule("zkboot's own small files, on the root disk", form=PATH)] = "/var/lib/zkboot"
    volume: Annotated[str, Rule('the mount point above data_dir, marked by a file .zkboot-volume; "" is none', form=NO_PATH)] = ""
    service: Annotated[str, Rule("who runs the server: systemd, or process (supervised by zkboot)", form=SERVICE)] = "systemd"
    zookeeper_home: Annotated[str, Rule("ZooKeeper's distribution", form=PATH)] = "/opt/zookeeper"
    java: Annotated[str, Rule("the java command", form=WORD)] = "java"
    run_dir: Annotated[str, Rule("files that a reboot forgets", form=PATH)] = "/run/zkboot"


class Ensemble(NamedTuple):
    max_voters: Annotated[int, Rule("the most voters; the other members are observers", low=1, high=HIGHEST_ID)] = 5
    id_offset: Annotated[int, Rule("server ids begin above it", high=HIGHEST_ID - 1)] = 0
    auto_restore: Annotated[float, Rule("the greatest age of a backup that is restored unasked; 0 is never")] = 0


class Zookeeper(NamedTuple):
    tick_time: Annotated[int, Rule("tickTime, in milliseconds", low=50, high=60_000)] = 2000
    init_limit: Annotated[int, Rule("initLimit, in ticks; 0 is computed from the snapshot's size", high=100_000)] = 0
    sync_limit: Annotated[int, Rule("syncLimit, in ticks", low=1, high=1000)] = 5
    client_port: Annotated[int, Rule("where clients connect; fixed while the ensemble lives", low=1, high=65_535)] = 2181
    quorum_port: Annotated[int, Rule("where followers connect to the leader; fixed likewise", low=1, high=65_535)] = 2888
    election_port: Annotated[int, Rule("where leaders are elected; fixed likewise", low=1, high=65_535)] = 3888
    snap_count: Annotated[int, Rule("snapCount, in transactions", low=2)] = 100_000
    autopurge_retain: Annotated[int, Rule("autopurge.snapRetainCount, in snapshots", low=3)] = 3
    autopurge_interval: Annotated[int, Rule("autopurge.purgeInterval, in hours; 0 purges nothing")] = 1
    max_client_cnxns: Annotated[int, Rule("maxClientCnxns: connections from one address; 0 is without limit")] = 60
    jute_maxbuffer: Annotated[int, Rule("jute.maxbuffer, in bytes", low=1024, high=2**31 - 1)] = 1_048_575
    min_session_timeout: Annotated[int, Rule("minSessionTimeout, in milliseconds; 0 is two ticks")] = 0
    max_session_timeout: Annotated[int, Rule("maxSessionTimeout, in milliseconds; 0 is twenty ticks")] = 0
    heap: Annotated[str, Rule("the server's heap; \"\" is computed from the machine's memory", form=NO_HEAP)] = ""
    jvm_flags: Annotated[tuple[str, ...], Rule("more options of the JVM", form=FLAG)] = ()
    shared_archive: Annotated[str, Rule('a class-data archive (.jsa) for a faster start; "" is none', form=NO_PATH)] = (
        "/opt/zookeeper/zookeeper.jsa"
    )
    extra: Annotated[Mapping[str, Passed], Rule("any other key of zoo.cfg, passed on as it is")] = {}


class Backup(NamedTuple):
    interval: Annotated[float, Rule("from one backup to the next; 0 is never, else at least 3600")] = 86_400
    prefix: Annotated[str, Rule('what the keys of backups begin with; "" is backups/<cluster>/', form=NO_PREFIX)] = ""
    bucket: Annotated[str, Rule('the bucket of backups; "" is aws.bucket', form=NO_BUCKET)] = ""
    endpoint: Annotated[str, Rule('another address of S3 for backups alone; "" is aws.endpoint_url', form=NO_URL)] = ""
    profile: Annotated[str, Rule('a profile of /etc/zkboot/credentials, for backups; "" is the instance role', form=NO_WORD)] = ""
    mode: Annotated[str, Rule("hot: while the server runs; cold: one node's server is stopped for it", form=MODE)] = "hot"
    keep_count: Annotated[int, Rule("the newest so many are kept; with all keep_ at 0 none is ever deleted")] = 7
    keep_days: Annotated[float, Rule("those not older than this, in days, are kept too; 0 keeps none for that")] = 30
    keep_daily: Annotated[int, Rule("and the last one of each of so many days (UTC)")] = 0
    keep_weekly: Annotated[int, Rule("and of so many weeks")] = 0
    keep_monthly: Annotated[int, Rule("and of so many months")] = 0
    drill_interval: Annotated[float, Rule("from one drill of the latest to the next; 0 is never, else at least 3600")] = 604_800
    copy_bucket: Annotated[str, Rule('a second bucket that each backup is copied to; "" is none', form=NO_BUCKET)] = ""
    copy_region: Annotated[str, Rule('its region; "" is aws.region', form=NO_WORD)] = ""
    copy_endpoint: Annotated[str, Rule('its address; "" is aws.endpoint_url', form=NO_URL)] = ""
    copy_profile: Annotated[str, Rule('a profile of /etc/zkboot/credentials for it; "" is the instance role', form=NO_WORD)] = ""
    copy_kms_key: Annotated[str, Rule("its key of aws:kms, which is of that region", form=NO_WORD)] = ""
    sse: Annotated[str, Rule('server-side encryption: AES256 or aws:kms; "" is the bucket\'s own', form=SSE)] = ""
    kms_key: Annotated[str, Rule('the key of aws:kms, which the role may use; "" is the account\'s own', form=NO_WORD)] = ""


class Timing(NamedTuple):
    recover_interval: Annotated[float, Rule("from one recover to the next", low=1)] = 60
    bootstrap_timeout: Annotated[float, Rule("how long wait and bootstrap go on", low=1)] = 1800
    report_interval: Annotated[float, Rule("without a quorum, reports are written again this often", low=0.1)] = 20
    consistency: Annotated[float, Rule("how long EC2 may not yet know an instance", low=0.1)] = 300
    start_limit: Annotated[float, Rule("how long a server's start may take before it counts as failed", low=1)] = 60
    turn_pause: Annotated[float, Rule("from a turn that is not healthy to the next", low=0.05)] = 3
    audit_interval: Annotated[float, Rule("from one audit by the leader to the next", low=1)] = 600
    client_timeout: Annotated[float, Rule("the limit of one operation of a ZooKeeper client", low=0.1)] = 10
    ask_timeout: Annotated[float, Rule("the limit of one four-letter word", low=0.05)] = 1


class Settings(NamedTuple):
    """All of them. An empty `data_log_dir`, `secret`, `witness`, `backup.prefix` or `backup.bucket` has been replaced by what it
    stands for."""

    cluster: Annotated[str, Rule("the ensemble's name", form=NAME)]
    aws: Aws
    node: Node = Node()
    ensemble: Ensemble = Ensemble()
    zookeeper: Zookeeper = Zookeeper()
    timing: Timing = Timing()
    backup: Backup = Backup()

    @property
    def staleness(self) -> float:
        """For how many seconds a server may say what is no longer true (measured: up to syncLimit + 2 ticks)."""
        return (self.zookeeper.sync_limit + 2) * self.zookeeper.tick_time / 1000

    def limits(self) -> Limits:
        """What the policy weighs."""
        return Limits(
            max_voters=self.ensemble.max_voters,
            id_offset=self.ensemble.id_offset,
            staleness=self.staleness,
            start=self.timing.start_limit,
            consistency=self.timing.consistency,
            auto_restore=self.ensemble.auto_restore,
            report=self.timing.report_interval,
            backups=self.backup.interval > 0,
            ports=Ports(self.zookeeper.client_port, self.zookeeper.quorum_port, self.zookeeper.election_port),
        )


class Key(NamedTuple):
    """One row of the reference.

    `type` is str, int, float, tuple (a list of strings) or Mapping (a table); `default` is None for a key that must be given.
    """

    name: str
    type: Any
    default: Any
    rule: Rule


SECTIONS: Mapping[str, type] = {
    "aws": Aws,
    "node": Node,
    "ensemble": Ensemble,
    "zookeeper": Zookeeper,
    "timing": Timing,
    "backup": Backup,
}
EXTRA = "zookeeper.extra"


def _rows() -> Iterator[Key]:
    cluster: Any = Settings.__annotations__["cluster"]
    yield Key("cluster", str, None, cluster.__metadata__[0])
    for section, fields in SECTIONS.items():
        defaults: Mapping[str, Any] = fields._field_defaults  # type: ignore[attr-defined]
        for field, annotated in fields.__annotations__.items():
            written = annotated.__origin__
            yield Key(
                f"{section}.{field}", getattr(written, "__origin__", written), defaults.get(field), annotated.__metadata__[0]
            )


KEYS: Mapping[str, Key] = {key.name: key for key in _rows()}
