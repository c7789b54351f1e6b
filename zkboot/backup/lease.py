"""The lease: one node backs up at a time. An object beside the record, changed only by compare-and-set, so that of two nodes one
has it, and renewed while its holder lives, so that a dead one's ends. All times are the store's own.
"""

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from zkboot.errors import Stale, UnknownFact, ZkbootError
from zkboot.steps import step
from zkboot.world import Store, Stored

SCHEMA = 1
LASTS = 300.0  # seconds without a renewal
RENEWED = 60.0  # seconds from one renewal to the next


class Held(ZkbootError):
    """Another node has the lease: it does what this one would have done."""

    exit_code = UnknownFact.exit_code


def lease_key(cluster: str) -> str:
    return f"control/{cluster}/backup.json"


def free(stored: Stored | None, holder: str) -> bool:
    """Whether the lease may be taken: nobody's, this node's own (of a zkboot that was killed), or not renewed in time."""
    owner = "" if stored is None else _owner(stored)
    return owner in ("", holder) or (stored is not None and stored.date - stored.modified > LASTS)


class Lease:
    """Held by this node until the context of `held` ends."""

    def __init__(self, store: Store, key: str, holder: str) -> None:
        self._store = store
        self._key = key
        self._holder = holder
        self._etag = ""
        self._lock = threading.Lock()

    def take(self) -> float:
        """Returns the store's clock. Raises Held naming the holder, UnknownFact."""
        stored = self._store.get(self._key)
        if not free(stored, self._holder):
            assert stored is not None
            ago = stored.date - stored.modified
            raise Held(f"{_owner(stored)} is making a backup, and said so {ago:.0f} s ago; nothing was done")
        try:
            self._write(self._holder, stored.etag if stored else None)
        except Stale as error:
            raise Held("another node has begun a backup this very moment; nothing was done") from error
        found = self._store.get(self._key)
        if found is None or found.etag != self._etag:
            raise Held("another node has begun a backup this very moment; nothing was done")
        return found.date

    def confirm(self) -> None:
        """Still held, and from now on for as long as ever. Raises Stale when it is another's by now, UnknownFact."""
        with self._lock:
            try:
                self._write(self._holder, self._etag)
            except Stale as error:
                raise Stale("another node has taken the backup over, as this one was silent too long; nothing is kept") from error

    def release(self) -> None:
        with self._lock:
            self._write("", self._etag)

    def _write(self, holder: str, etag: str | None) -> None:
        """By compare-and-set; a refusal that one's own lost answer has caused is none."""
        body = json.dumps({"schema": SCHEMA, "holder": holder, "nonce": secrets.token_hex(8)}).encode()
        try:
            self._etag = self._store.put(self._key, body, etag)
        except (Stale, UnknownFact):
            stored = self._store.get(self._key)
            if stored is None or stored.body != body:
                raise
            self._etag = stored.etag


@contextmanager
def held(store: Store, cluster: str, holder: str) -> Iterator[tuple[Lease, float]]:
    """The lease, and the store's clock when it was taken. Renewed by a thread until the context ends, then released."""
    lease = Lease(store, lease_key(cluster), holder)
    with step("lease"):
        date = lease.take()
    ended = threading.Event()
    renewal = threading.Thread(target=_renew, args=(lease, ended), daemon=True)
    renewal.start()
    try:
        yield lease, date
    finally:
        ended.set()
        renewal.join()
        with suppress(Stale, UnknownFact):  # it ends by itself
            lease.release()


def _renew(lease: Lease, ended: threading.Event) -> None:
    while not ended.wait(RENEWED):
        try:
            lease.confirm()
        except Stale:
            return  # the holder finds out when it confirms before its commit
        except UnknownFact:
            continue


def _owner(stored: Stored) -> str:
    try:
        document: Any = json.loads(stored.body)
        return str(document["holder"])
    except (ValueError, LookupError, TypeError) as error:
        raise UnknownFact(f"the lease of the backups holds {stored.body[:40]!r}: remove the object") from error
