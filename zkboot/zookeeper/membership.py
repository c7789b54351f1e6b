"""The ensemble through one of its servers: its configuration, one reconfiguration, one proving write. All by kazoo.

Quorum or not, no call goes on for ever: one session's requests share one deadline, and to hang up takes at most as long again.
"""

import json
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from zkboot.errors import NewerSchema, Stale, UnknownFact, ZkbootError
from zkboot.model import Change, Configuration, Identity
from zkboot.world import View
from zkboot.zookeeper import configuration

if TYPE_CHECKING:
    from kazoo.client import KazooClient

CONFIG_NODE = "/zookeeper/config"
IDENTITY_NODE = "/zkboot"
IDENTITY_SCHEMA = 1
RECONNECT = {"max_tries": -1, "delay": 0.05, "backoff": 2, "max_delay": 0.5, "max_jitter": 0.1}  # seconds; within `timeout` only


class Session:
    """One client session with one server, to be used until `deadline` (time.monotonic)."""

    def __init__(self, client: "KazooClient", address: str, port: int, deadline: float) -> None:
        self._client = client
        self._address = address
        self._port = port
        self._deadline = deadline

    def view(self) -> View:
        """The configuration and the identity znode. Raises UnknownFact."""
        asked = self._client.get_async(CONFIG_NODE), self._client.get_async(IDENTITY_NODE)
        return View(self._parse(self._wait(asked[0])[0]), self._identity(asked[1]))

    def reconfigure(self, change: Change) -> None:
        """Ask for the change, once. Raises Stale when it was refused, UnknownFact when the outcome is not known."""
        from kazoo import exceptions

        refusals = {
            exceptions.BadVersionError: "the configuration has changed meanwhile",
            exceptions.NewConfigNoQuorumError: "too few of the new voters follow the leader in step (an observer does not count)",
            exceptions.ReconfigInProcessError: "another reconfiguration is under way",
        }
        joining = ",".join(configuration.server_line(s) for s in change.joining) or None
        leaving = ",".join(str(i) for i in change.leaving) or None
        try:
            self._wait(self._client.reconfig_async(joining, leaving, None, change.version))
        except tuple(refusals) as error:
            raise Stale(f"reconfiguration of version 0x{change.version:x} refused: {refusals[type(error)]}") from error

    def prove(self, identity: Identity, former: Identity | None) -> None:
        """Write the identity znode. Raises UnknownFact, Stale, and ZkbootError when another cluster's than `former` is there."""
        from kazoo import exceptions
        from kazoo.security import make_acl

        body = json.dumps({"schema": IDENTITY_SCHEMA, **identity._asdict()}, sort_keys=True).encode()
        readable = [make_acl("world", "anyone", read=True)]  # the super user needs no entry to write
        try:
            self._wait(self._client.create_async(IDENTITY_NODE, body, acl=readable))
            return
        except exceptions.NodeExistsError:
            present, stat = self._wait(self._client.get_async(IDENTITY_NODE))
        there = parse_identity(present)
        if there.cluster_id not in (identity.cluster_id, former.cluster_id if former else ""):
            raise ZkbootError(
                f"the ensemble at {self._address} is cluster {there.cluster_id}, this node's data cluster {identity.cluster_id}:"
                " stop one of them"
            )
        if there.generation > identity.generation:
            raise Stale(f"the ensemble at {self._address} is of generation {there.generation}, above {identity.generation}")
        try:
            self._wait(self._client.set_async(IDENTITY_NODE, body, version=stat.version))
        except exceptions.BadVersionError as error:
            raise Stale(f"{IDENTITY_NODE} was written by another node meanwhile") from error

    def _identity(self, asked: Any) -> Identity | None:
        from kazoo import exceptions

        try:
            return parse_identity(self._wait(asked)[0])
        except exceptions.NoNodeError:
            return None

    def _parse(self, body: bytes) -> Configuration:
        try:
            return configuration.parse(body.decode(), client_port=self._port)  # a static clientPort shows in no line
        except ValueError as error:
            raise UnknownFact(
                f"the configuration shown by {self._address} is not one that zkboot understands: {error}"
            ) from error

    def _wait(self, asked: Any) -> Any:
        """The answer. What is not known is raised as UnknownFact, a refusal that callers know as kazoo's own error."""
        from kazoo import exceptions

        try:
            return asked.get(timeout=max(self._deadline - time.monotonic(), 0.0))
        except self._client.handler.timeout_exception as error:
            raise UnknownFact(f"{self._address} did not answer in time: it may be without a quorum") from error
        except (
            exceptions.ConnectionLoss,
            exceptions.ConnectionClosedError,
            exceptions.SessionExpiredError,
            exceptions.OperationTimeoutError,
            exceptions.CancelledError,
        ) as error:
            raise UnknownFact(f"{self._address} closed the connection before it answered") from error
        except exceptions.NoAuthError as error:
            raise ZkbootError(
                f"{self._address} refuses the super password: its zoo.cfg has another superDigest than the stored secret;"
                " start that server again through zkboot"
            ) from error
        except (
            exceptions.NoNodeError,
            exceptions.NodeExistsError,
            exceptions.BadVersionError,
            exceptions.NewConfigNoQuorumError,
            exceptions.ReconfigInProcessError,
        ):
            raise
        except exceptions.ZookeeperError as error:
            raise ZkbootError(f"{self._address} refuses: {type(error).__name__} {error}") from error


@contextmanager
def session(address: str, port: int, timeout: float, password: str | None = None) -> Iterator[Session]:
    """A session with that very server, with a password as the super user. Raises UnknownFact when there is none in time."""
    from kazoo.client import KazooClient
    from kazoo.handlers.threading import KazooTimeoutError

    deadline = time.monotonic() + timeout
    _expect_listener(address, port, timeout)
    quiet = logging.getLogger("zkboot.kazoo")
    quiet.setLevel(logging.CRITICAL)  # what matters of it is raised
    client = KazooClient(
        hosts=f"[{address}]:{port}" if ":" in address else f"{address}:{port}",
        timeout=timeout,
        connection_retry=dict(RECONNECT),
        auth_data=[("digest", f"super:{password}")] if password is not None else None,
        logger=quiet,
    )
    try:
        client.start(timeout=timeout)
        yield Session(client, address, port, deadline)
    except KazooTimeoutError as error:
        raise UnknownFact(f"{address}:{port} gave no session within {timeout:g} s: it may be without a quorum") from error
    finally:
        client.stop()
        client.close()


def view(address: str, port: int, timeout: float) -> View:
    """See ServerApi.view."""
    with session(address, port, timeout) as opened:
        return opened.view()


def reconfigure(address: str, port: int, timeout: float, password: str, change: Change) -> Configuration:
    """See ServerApi.reconfigure. Whatever error there was, what counts is the configuration read afterwards."""
    failure: Stale | UnknownFact | None = None
    try:
        with session(address, port, timeout, password) as opened:
            try:
                opened.reconfigure(change)
            except Stale as error:
                failure = error
            if (now := opened.view().configuration).version != change.version and applied(change, now):
                return now
    except UnknownFact as error:
        failure = failure or error
        now = view(address, port, timeout).configuration
        if now.version != change.version and applied(change, now):
            return now
    if failure is None:
        raise UnknownFact(f"{address} accepted the reconfiguration and still shows version 0x{now.version:x}; zkboot looks again")
    raise failure


def applied(change: Change, now: Configuration) -> bool:
    """Whether a configuration shows what the change was to bring about."""
    return all(server in now.servers for server in change.joining) and all(
        now.server(i) is None or any(s.id == i for s in change.joining) for i in change.leaving
    )


def prove(address: str, port: int, timeout: float, password: str, identity: Identity, former: Identity | None = None) -> None:
    """See ServerApi.prove."""
    with session(address, port, timeout, password) as opened:
        opened.prove(identity, former)


def parse_identity(body: bytes) -> Identity:
    """The identity znode's content. Raises UnknownFact for what is not zkboot's, NewerSchema."""
    try:
        fields = json.loads(body)
        if fields["schema"] > IDENTITY_SCHEMA:
            raise NewerSchema(f"{IDENTITY_NODE} has schema {fields['schema']}, newer than this zkboot: upgrade it")
        return Identity(str(fields["cluster_id"]), int(fields["generation"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UnknownFact(f"{IDENTITY_NODE} holds what zkboot did not write: {body[:80]!r}") from error


def _expect_listener(address: str, port: int, timeout: float) -> None:
    """A refused connection is known at once; kazoo would go on trying until its time is over."""
    try:
        socket.create_connection((address, port), timeout).close()
    except OSError as error:
        raise UnknownFact(f"{address}:{port}: {error.strerror or 'no connection'}") from error
