"""What can be wrong with settings: key by key, in `[zookeeper.extra]`, and between keys. A problem is a sentence for a person."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from zkboot.model import HIGHEST_ID
from zkboot.settings_keys import EXTRA, KEYS, SECTIONS, Backup, Key, Node, Settings, Zookeeper

# The keys of zoo.cfg that zkboot writes itself, and the setting behind each ("" where there is none: zkboot's rules rest on it).
WRITTEN: Mapping[str, str] = {
    "tickTime": "zookeeper.tick_time",
    "initLimit": "zookeeper.init_limit",
    "syncLimit": "zookeeper.sync_limit",
    "clientPort": "zookeeper.client_port",
    "snapCount": "zookeeper.snap_count",
    "autopurge.snapRetainCount": "zookeeper.autopurge_retain",
    "autopurge.purgeInterval": "zookeeper.autopurge_interval",
    "maxClientCnxns": "zookeeper.max_client_cnxns",
    "jute.maxbuffer": "zookeeper.jute_maxbuffer",
    "minSessionTimeout": "zookeeper.min_session_timeout",
    "maxSessionTimeout": "zookeeper.max_session_timeout",
    "dataDir": "node.data_dir",
    "dataLogDir": "node.data_log_dir",
    "dynamicConfigFile": "",
    "standaloneEnabled": "",
    "reconfigEnabled": "",
    "peerType": "",
    "clientPortAddress": "",
    "db.autocreate": "",
    "skipACL": "",
    "DigestAuthenticationProvider.superDigest": "",
    "4lw.commands.whitelist": "",
    "admin.serverAddress": "",
    "quorumListenOnAllIPs": "",
}
WRITTEN_PREFIXES = ("server.", "group.", "weight.")

SHORTEST_INTERVAL = 3600  # seconds between backups: the timer looks every quarter of an hour

KINDS: Mapping[Any, str] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    tuple: "a list of strings",
    Mapping: "a table",
}


# What the older tools' settings had, and what to do instead.
KEYS_OF_AWS = (
    "zkboot keeps no keys in its settings: remove it; the instance role serves, or write the key into a profile of"
    " /etc/zkboot/credentials (readable by root alone) and name that in backup.profile"
)
OLDER: Mapping[str, str] = {
    "aws_access_key": KEYS_OF_AWS,
    "aws_secret_key": KEYS_OF_AWS,
    "aws_access_key_id": KEYS_OF_AWS,
    "aws_secret_access_key": KEYS_OF_AWS,
    "s3_bucket": "is called backup.bucket here",
    "s3_endpoint": "is called backup.endpoint here",
}


def of_keys(given: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Keys missing, unknown, or with a value of the wrong type, form or size."""
    for name, key in KEYS.items():
        if key.default is None and name not in given:
            yield name, f"is required and missing ({key.rule.help}): write it into {path} or give --set {name}=..."
    for name, value in given.items():
        if name in KEYS:
            problem = _of_type(KEYS[name], value) or _of_value(KEYS[name], value)
            if problem:
                yield name, problem
        elif not name.startswith(EXTRA + "."):
            yield name, _unknown(name, value)


def of_extra(extra: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Keys of `[zookeeper.extra]` that zkboot writes itself, and what zoo.cfg, a Java properties file, cannot hold."""
    written = {name.lower(): name for name in WRITTEN}
    for name, value in extra.items():
        bare = name.removeprefix("zookeeper.")
        own = written.get(bare.lower(), bare if bare.startswith(WRITTEN_PREFIXES) else "")
        if own:
            setting = WRITTEN.get(own)
            advice = f"set {setting} instead" if setting else "zkboot's rules rest on its own value; remove it"
            yield f"{EXTRA}.{name}", f"zkboot writes {own} itself: {advice}"
        elif not name.isprintable() or set(name) & set(" =:#!\\"):
            yield f"{EXTRA}.{name}", "zoo.cfg cannot hold a key with a space or one of = : # ! \\ in it"
        elif not isinstance(value, (str, int, bool)):
            yield f"{EXTRA}.{name}", f"must be a string, a whole number or a boolean, not {_shown(value)}"
        elif isinstance(value, str) and (not value.isprintable() or "\\" in value):
            yield f"{EXTRA}.{name}", "must be one line without a backslash, for zoo.cfg is a Java properties file"


def between(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """What no single key shows: the keys concerned, and the problem."""
    yield from _folders(settings.node)
    yield from _ports(settings.zookeeper)
    yield from _backups(settings.backup)

    highest = settings.ensemble.id_offset + settings.ensemble.max_voters
    if highest > HIGHEST_ID:
        yield (
            ("ensemble.id_offset", "ensemble.max_voters"),
            f"the voters' ids would reach {highest} (id_offset + max_voters); ZooKeeper's highest is {HIGHEST_ID}",
        )

    zookeeper = settings.zookeeper
    shortest = zookeeper.min_session_timeout or 2 * zookeeper.tick_time
    longest = zookeeper.max_session_timeout or 20 * zookeeper.tick_time
    if shortest > longest:
        yield (
            ("zookeeper.min_session_timeout", "zookeeper.max_session_timeout", "zookeeper.tick_time"),
            f"the shortest session timeout ({shortest} ms) is above the longest ({longest} ms)",
        )

    timing = settings.timing
    for smaller, greater in (("start_limit", "bootstrap_timeout"), ("turn_pause", "recover_interval")):
        low, high = getattr(timing, smaller), getattr(timing, greater)
        if low > high:
            yield (f"timing.{smaller}", f"timing.{greater}"), f"{smaller} ({low:g} s) must not be above {greater} ({high:g} s)"


def _backups(backup: Backup) -> Iterator[tuple[tuple[str, ...], str]]:
    if 0 < backup.interval < SHORTEST_INTERVAL:
        yield ("backup.interval",), f"must be 0 (no backups) or at least {SHORTEST_INTERVAL:g}, not {backup.interval:g}"
    if 0 < backup.drill_interval < SHORTEST_INTERVAL:
        least = f"must be 0 (no drills) or at least {SHORTEST_INTERVAL:g}, not {backup.drill_interval:g}"
        yield ("backup.drill_interval",), least
    for name in ("copy_region", "copy_endpoint", "copy_profile", "copy_kms_key"):
        if getattr(backup, name) and not backup.copy_bucket:
            yield (f"backup.{name}", "backup.copy_bucket"), f"{name} is of the second bucket, and copy_bucket names none"
    if backup.copy_kms_key and backup.sse != "aws:kms":
        yield ("backup.copy_kms_key", "backup.sse"), f'a copy_kms_key is used with sse = "aws:kms" alone, not with "{backup.sse}"'
    if backup.kms_key and backup.sse != "aws:kms":
        yield ("backup.kms_key", "backup.sse"), f'a kms_key is used with sse = "aws:kms" alone, not with "{backup.sse}"'


def _folders(node: Node) -> Iterator[tuple[tuple[str, ...], str]]:
    stays = "data is renamed aside as a whole, the configuration stays"
    outlives = "what the root disk remembers must outlive the data"
    forgets = "a reboot empties it"
    for inner, outer, why in (
        ("data_dir", "conf_dir", stays),
        ("conf_dir", "data_dir", stays),
        ("data_log_dir", "conf_dir", stays),
        ("conf_dir", "data_log_dir", stays),
        ("state_dir", "data_dir", outlives),
        ("state_dir", "data_log_dir", outlives),
        ("state_dir", "volume", outlives),
        ("data_dir", "run_dir", forgets),
        ("data_log_dir", "run_dir", forgets),
        ("conf_dir", "run_dir", forgets),
        ("state_dir", "run_dir", forgets),
    ):
        place = getattr(node, outer)
        if _within(getattr(node, inner), place):
            yield (f"node.{inner}", f"node.{outer}"), f"{inner} must not be {outer} ({place}), nor lie in it: {why}"

    data, log = node.data_dir, node.data_log_dir
    if log and log != data and (_within(log, data) or _within(data, log)):
        yield ("node.data_log_dir", "node.data_dir"), f"data_log_dir must be data_dir ({data}) or lie apart from it, not at {log}"
    if node.volume and (data == node.volume or not _within(data, node.volume)):
        yield (
            ("node.volume", "node.data_dir"),
            f"volume must be a folder above data_dir ({data}), where the archive lies, not {node.volume}",
        )


def _ports(zookeeper: Zookeeper) -> Iterator[tuple[tuple[str, ...], str]]:
    names = ("client_port", "quorum_port", "election_port")
    for index, name in enumerate(names):
        for other in names[index + 1 :]:
            if getattr(zookeeper, name) == getattr(zookeeper, other):
                yield (f"zookeeper.{name}", f"zookeeper.{other}"), f"{name} and {other} are both {getattr(zookeeper, name)}"


def _within(inner: str, outer: str) -> bool:
    """Whether `inner` is `outer` or lies below it."""
    return bool(inner and outer) and (inner + "/").startswith(outer + "/")


def _of_type(key: Key, value: Any) -> str:
    fits = {
        str: isinstance(value, str),
        int: isinstance(value, int) and not isinstance(value, bool),
        float: isinstance(value, (int, float)) and not isinstance(value, bool),
        tuple: isinstance(value, list) and all(isinstance(item, str) for item in value),
        Mapping: isinstance(value, dict),
    }
    return "" if fits[key.type] else f"must be {KINDS[key.type]}, not {_shown(value)}"


def _of_value(key: Key, value: Any) -> str:
    rule = key.rule
    if key.type in (int, float):
        if rule.low <= value <= rule.high and value != float("inf"):
            return ""
        bounds = f"at least {rule.low:g}" if rule.high == float("inf") else f"from {rule.low:g} to {rule.high:g}"
        return f"must be {bounds}, not {value} ({rule.help})"
    if rule.form is not None:
        for item in value if key.type is tuple else [value]:
            if not rule.form.fits(item):
                return f"must be {rule.form.words}, not {_shown(item)}"
    return ""


def _unknown(name: str, value: Any) -> str:
    """That a key or section is unknown, with the name that may be meant."""
    import difflib

    if (older := OLDER.get(name.rpartition(".")[2])) is not None:
        return older
    if name in SECTIONS:
        return f"is a section, not a setting: write [{name}] and its keys below"
    if isinstance(value, dict):
        near = difflib.get_close_matches(name, SECTIONS, 1)
        return f"is no section; did you mean [{near[0]}]?" if near else f"is no section; there are {', '.join(SECTIONS)}"
    last = name.rpartition(".")[2]
    near = [key for key in KEYS if key.endswith("." + last)] or difflib.get_close_matches(name, KEYS, 1)
    meant = f"; did you mean {near[0]}?" if near else "."
    passed = " [zookeeper.extra] passes other keys on to zoo.cfg" if name.startswith("zookeeper.") else ""
    return f"is no setting{meant}{passed}"


def _shown(value: Any) -> str:
    if isinstance(value, str):
        # One line of a log, whatever is in it.
        text = f'"{value}"' if value.isprintable() else json.dumps(value)
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
