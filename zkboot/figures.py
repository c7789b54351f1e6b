"""A turn's figures, one line for CloudWatch, written into the journal: `zkboot ship` takes it from there.

Each node tells what it sees itself, and only the leader what is the ensemble's alone: its own figures say who is in step. Then
an alarm may take the best of what is told: a minority that is cut off does not hide a quorum, and where nobody leads nobody
says that all is well.

A light turn does this: nothing dear is imported here, and nothing but the servers is asked.
"""

import json
import os
import socket
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from zkboot import clock, metrics
from zkboot.backup import seen
from zkboot.errors import UnknownFact
from zkboot.model import SERVING, Mode
from zkboot.zookeeper import configuration, files, fourletter

if TYPE_CHECKING:
    from zkboot.settings_keys import Settings

JOURNAL = "/run/systemd/journal/socket"
IDENTIFIER = "zkboot-metrics"
NOTICED = 7  # the priority of a debugging message: `journalctl --priority=info` leaves it out
LATENCIES = ("readlatency", "updatelatency")


class Verdict(NamedTuple):
    """What the turn made of it. `quorum` is whether a leader that serves was seen, None where that is unknown."""

    row: int
    action: str
    quorum: bool | None
    halted: bool


HEALTHY = Verdict(6, "healthy", quorum=True, halted=False)


def write(settings: "Settings", verdict: Verdict) -> None:
    """One line, where there is a log group for it. A journal that is missing or full gets none: a turn waits for nobody."""
    if not settings.aws.log_group:
        return
    me = _read(f"{settings.node.state_dir}/state.json").get("me")
    if not me:
        return  # no turn has learned yet who this node is
    instance, address = me[0], me[1]
    values = {name: value for name, value in measure(settings, verdict, address) if value is not None}
    more = {"Decision": verdict.action, "Row": verdict.row}
    told = metrics.document(settings.cluster, instance, clock.NodeClock().now(), values, more)
    entry = f"MESSAGE={json.dumps(told)}\nPRIORITY={NOTICED}\nSYSLOG_IDENTIFIER={IDENTIFIER}\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as journal:
        try:
            journal.sendto(entry.encode(), JOURNAL)
        except OSError:
            return


def measure(settings: "Settings", verdict: Verdict, address: str) -> Iterator[tuple[str, float | None]]:
    """Each metric's value, of the node at that address; None, or not told at all, is unknown."""
    server = _ask_own(settings, address)
    mode = server.get("zk_server_state", "")
    serves = mode in SERVING
    # A leader may lead on though it can commit nothing: where the turn got no session, that a server serves says little.
    quorum = True if serves and verdict.quorum is not None else verdict.quorum
    yield "Quorum", None if quorum is None else int(quorum)
    yield "Halted", int(verdict.halted)
    yield "DiskUsed", _disk_used(settings)
    yield "BackupAge", _backup_age(settings)
    if serves:
        yield "Znodes", _number(server, "zk_znode_count")
        yield "Connections", _number(server, "zk_num_alive_connections")
        yield "Latency", _latency(settings, server)
        yield "ZxidLag", 0 if mode == Mode.LEADER else _lag(settings, address)
    if mode == Mode.LEADER:
        yield from _of_the_leader(server)


def _of_the_leader(server: Mapping[str, str]) -> Iterator[tuple[str, float | None]]:
    voters, followers = _number(server, "zk_quorum_size"), _number(server, "zk_synced_followers")
    strangers = _number(server, "zk_synced_non_voting_followers")
    yield "Voters", voters
    if voters is not None and followers is not None:
        yield "Tolerance", followers - (strangers or 0) + 1 - (voters // 2 + 1)
    yield "Spares", _number(server, "zk_synced_observers")


def _ask_own(settings: "Settings", address: str) -> Mapping[str, str]:
    """What the own server answers to `mntr`; nothing when it does not serve."""
    endpoint = (address, settings.zookeeper.client_port)
    answer = fourletter.send_word(b"mntr", [endpoint], settings.timing.ask_timeout)[endpoint]
    return dict(line.split("\t", 1) for line in (answer or "").splitlines() if "\t" in line)


def _lag(settings: "Settings", address: str) -> float | None:
    """Behind the leader, all asked in the same moment; None when none answers, or it is of another epoch."""
    try:
        members = configuration.committed(settings.node.conf_dir)
    except (UnknownFact, OSError):
        return None
    own = (address, settings.zookeeper.client_port)
    voters = {(server.address, server.client_port) for server in members.voters} if members else set()
    answers = fourletter.send_word(b"srvr", voters | {own}, settings.timing.ask_timeout)
    peers = {endpoint: fourletter.parse_srvr(answer or "") for endpoint, answer in answers.items()}
    here, leader = peers[own], next((peer for peer in peers.values() if peer.mode is Mode.LEADER), None)
    if leader is None or here.mode is Mode.NONE or leader.zxid >> 32 != here.zxid >> 32:
        return None
    return max(leader.zxid - here.zxid, 0)


def _latency(settings: "Settings", server: Mapping[str, str]) -> float | None:
    """Milliseconds of a request since the figure before, whose sums are kept until the next boot."""
    now = [sum(_number(server, f"zk_{what}_{kind}") or 0 for kind in LATENCIES) for what in ("sum", "cnt")]
    path = f"{settings.node.run_dir}/latency.json"
    try:
        before = json.loads(files.read_text(path) or "[0, 0]")
        files.write(path, json.dumps(now))
    except (OSError, ValueError):
        return None
    if before[1] > now[1]:  # the server has begun to count anew
        before = [0, 0]
    requests = now[1] - before[1]
    return round((now[0] - before[0]) / requests, 3) if requests else None


def _disk_used(settings: "Settings") -> float | None:
    """In percent, as df(1) has it: of what is for anybody but root."""
    used = []
    for folder in {settings.node.data_dir, settings.node.state_dir}:
        try:
            found = os.statvfs(folder)
        except OSError:
            continue
        taken = found.f_blocks - found.f_bfree
        used.append(100 * taken / (taken + found.f_bavail))
    return round(max(used), 1) if used else None


def _backup_age(settings: "Settings") -> float | None:
    """Since the newest verified backup held all that had been written; without any, since that is known."""
    try:
        known = seen.read(settings.node.state_dir)
    except OSError:
        return None
    return None if known is None else round(max(clock.NodeClock().now() - known.as_of, 0))


def _read(path: str) -> Mapping[str, Any]:
    try:
        found = json.loads(files.read_text(path) or "{}")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _number(server: Mapping[str, str], name: str) -> float | None:
    try:
        return float(server[name]) if "." in server[name] else int(server[name])
    except (KeyError, ValueError):
        return None
