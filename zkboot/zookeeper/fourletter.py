"""ZooKeeper's four-letter words, asked of many servers at once ("ZooKeeper Commands" in the administrator's guide).

A light turn asks its own server: nothing dear may be imported here.
"""

import errno
import select
import socket
import time
from collections.abc import Iterable

from zkboot.model import Mode
from zkboot.world import Peer

Endpoint = tuple[str, int]


def ask(endpoints: Iterable[Endpoint], timeout: float) -> dict[Endpoint, Peer | None]:
    """What each server says to `srvr`, and a leader to `mntr`; None for one that does not answer within `timeout` s each."""
    answers = send_word(b"srvr", endpoints, timeout)
    peers = {endpoint: None if answer is None else parse_srvr(answer) for endpoint, answer in answers.items()}
    leaders = [endpoint for endpoint, peer in peers.items() if peer is not None and peer.mode is Mode.LEADER]
    for endpoint, figures in send_word(b"mntr", leaders, timeout).items():
        peer = peers[endpoint]
        peers[endpoint] = None if figures is None or peer is None else add_mntr(peer, figures)
    return peers


def send_word(word: bytes, endpoints: Iterable[Endpoint], timeout: float) -> dict[Endpoint, str | None]:
    """One word to all at once; the answers, None for what did not end within `timeout` seconds."""
    answers: dict[Endpoint, str | None] = dict.fromkeys(endpoints)
    deadline = time.monotonic() + timeout
    poll = select.poll()
    open_ones: dict[int, tuple[socket.socket, Endpoint, bytearray]] = {}
    try:
        for endpoint in answers:
            connection = _connect(endpoint)
            if connection is not None:
                open_ones[connection.fileno()] = connection, endpoint, bytearray()
                poll.register(connection, select.POLLOUT)
        while open_ones and (left := deadline - time.monotonic()) > 0:
            for descriptor, events in poll.poll(left * 1000):
                connection, endpoint, received = open_ones[descriptor]
                ended = _go_on(connection, word, received, poll, events)
                if ended is not None:
                    answers[endpoint] = received.decode(errors="replace") if ended and received else None
                    poll.unregister(descriptor)
                    open_ones.pop(descriptor)[0].close()
    finally:
        for connection, _, _ in open_ones.values():
            connection.close()
    return answers


def parse_srvr(answer: str) -> Peer:
    """The mode NONE for a server that runs but does not serve, which says so in a sentence of its own."""
    values = dict(line.split(": ", 1) for line in answer.splitlines() if ": " in line)
    try:
        return Peer(Mode(values["Mode"].strip()), int(values["Zxid"], 16))
    except (KeyError, ValueError):
        return Peer(Mode.NONE, 0)


def add_mntr(peer: Peer, answer: str) -> Peer | None:
    """The leader's figures; None when it no longer gives them (it has just ceased to lead)."""
    values = dict(line.split("\t", 1) for line in answer.splitlines() if "\t" in line)
    try:
        synced = int(values["zk_synced_followers"]) - int(values.get("zk_synced_non_voting_followers", 0))
        return peer._replace(synced_followers=synced, quorum_size=int(values["zk_quorum_size"]))
    except (KeyError, ValueError):
        return None


def _connect(endpoint: Endpoint) -> socket.socket | None:
    """A connection under way; None where there can be none (refused, no such name, no descriptor left)."""
    connection = None
    try:
        connection = socket.socket(socket.AF_INET6 if ":" in endpoint[0] else socket.AF_INET, socket.SOCK_STREAM)
        connection.setblocking(False)
        if connection.connect_ex(endpoint) in (0, errno.EINPROGRESS):
            return connection
    except OSError:
        pass
    if connection is not None:
        connection.close()
    return None


def _go_on(connection: socket.socket, word: bytes, received: bytearray, poll: select.poll, events: int) -> bool | None:
    """Send when connected, receive what has come. True at the answer's end, False when the connection failed, None before."""
    try:
        if events & select.POLLOUT:
            connection.send(word)
            poll.modify(connection, select.POLLIN)
            return None
        piece = connection.recv(65536)
    except BlockingIOError:
        return None
    except OSError:
        return False
    received += piece
    return None if piece else True
