"""What a data directory holds: the state that ZooKeeper would load from it at a start, and whether that is whole.

The rules are those of `FileTxnSnapLog.restore`, `FileSnap.deserialize`, `FileTxnLog.FileTxnIterator` and
`QuorumPeer.loadDataBase` (3.9.5), with one more: where ZooKeeper loads on silently over a gap in the logs, it is damage here.
"""

import os
from typing import NamedTuple

from zkboot.errors import Damaged, UnknownFact
from zkboot.zookeeper import files, formats

ATTEMPTS = 3
CURRENT_EPOCH = "currentEpoch"
ACCEPTED_EPOCH = "acceptedEpoch"
NOTHING = -1  # as a zxid: ZooKeeper's own word for an empty database


class Contents(NamedTuple):
    """The state that would be loaded; `zxid` is NOTHING for none. With `damage`, what could be read before it."""

    zxid: int
    current_epoch: int = 0
    accepted_epoch: int = 0
    snapshot: formats.Snapshot | None = None
    damage: str = ""

    @property
    def empty(self) -> bool:
        return self.zxid == NOTHING and not self.damage


class Reader:
    """Reads one pair of folders, and remembers what it found of each file as long as name, size and time stay the same."""

    def __init__(self, data_dir: str, log_dir: str, largest: int) -> None:
        self.snapshots = f"{data_dir}/version-2"
        self.logs = f"{log_dir}/version-2"
        self.largest = largest
        self._verified: dict[tuple[str, int, int], formats.Snapshot | str] = {}
        self._known: tuple[object, Contents] | None = None

    def read(self) -> Contents:
        """Raises UnknownFact when the files change all the time or cannot be read.

        A server may be writing: a verdict counts only when nothing changed meanwhile, or when what was found is whole.
        """
        with files.unknown_on_error():
            for _ in range(ATTEMPTS):
                before = self._signature()
                if self._known is not None and self._known[0] == before:
                    return self._known[1]
                try:
                    contents = self._examine()
                except FileNotFoundError:
                    continue  # purged or cut back by the server this very moment
                after = self._signature()
                if before == after:
                    self._known = before, contents
                if before == after or not contents.damage:
                    return contents
        raise UnknownFact(f"{self.snapshots}: changes faster than it can be read; zkboot tries again")

    def _signature(self) -> object:
        found = []
        for folder in {self.snapshots, self.logs}:
            for name in files.listing(folder):
                status = os.stat(f"{folder}/{name}")
                found.append((folder, name, status.st_size, status.st_mtime_ns))
        return sorted(found)

    def _examine(self) -> Contents:
        logs = formats.named(self.logs, formats.LOG)
        try:
            snapshot = self._newest_snapshot()
            if snapshot is None and logs:
                raise Damaged(f"{logs[0].path}: transaction logs without a whole snapshot, which no server starts from")
        except Damaged as error:
            zxid, _ = self._replay(NOTHING, logs)
            return Contents(zxid, *self._epochs(zxid)[:2], damage=str(error))
        if snapshot is None:
            return Contents(NOTHING)
        older = [log.zxid for log in logs if log.zxid <= snapshot.zxid]
        zxid, damage = self._replay(snapshot.zxid, [log for log in logs if log.zxid >= max(older, default=0)])
        current, accepted, wrong = self._epochs(zxid)
        return Contents(zxid, current, accepted, snapshot, damage or wrong)

    def _newest_snapshot(self) -> formats.Snapshot | None:
        """The newest whole one. Raises Damaged when there are some and none is whole."""
        first: Damaged | None = None
        for _, path in reversed(formats.named(self.snapshots, formats.SNAPSHOT)):
            if formats.is_sealed(path):
                try:
                    return self._verify(path)
                except Damaged as damage:
                    first = first or damage
        if first:
            raise first
        return None

    def _verify(self, path: str) -> formats.Snapshot:
        status = os.stat(path)
        key = path, status.st_size, status.st_mtime_ns
        if key not in self._verified:
            try:
                self._verified[key] = formats.read_snapshot(path)
            except Damaged as damage:
                self._verified[key] = str(damage)
        found = self._verified[key]
        if isinstance(found, str):
            raise Damaged(found)
        return found

    def _replay(self, zxid: int, logs: list[formats.Named]) -> tuple[int, str]:
        """The last zxid reached from `zxid`, and what is wrong with the way there."""
        try:
            for log in logs:
                if os.stat(log.path).st_size == 0 and log is not logs[-1]:
                    raise Damaged(f"{log.path}, offset 0: an empty log, with later ones after it")
                for record in formats.read_log(log.path, self.largest):
                    if record.zxid <= zxid:
                        continue
                    if zxid != NOTHING and not follows(record.zxid, zxid):
                        raise Damaged(
                            f"{log.path}, offset {record.offset}: transaction 0x{record.zxid:x} follows 0x{zxid:x}:"
                            " those between are missing"
                        )
                    zxid = record.zxid
        except formats.TooLong as long:
            raise UnknownFact(
                f"{long}, and it is whole: set zookeeper.jute_maxbuffer to {-(-long.length // 2)} or more on every node, and "
                "recovery goes on"
            ) from long
        except Damaged as damage:
            return zxid, str(damage)
        return zxid, ""

    def _epochs(self, zxid: int) -> tuple[int, int, str]:
        """The current and the accepted epoch as a server would take them, and what would keep it from starting."""
        epoch = max(zxid, 0) >> 32
        try:
            current = self._epoch(CURRENT_EPOCH, epoch)
            accepted = self._epoch(ACCEPTED_EPOCH, epoch)
            if epoch > current:
                current = self._epoch(f"{CURRENT_EPOCH}.tmp", current)
        except Damaged as damage:
            return epoch, epoch, str(damage)
        folder = self.snapshots
        if epoch > current:
            return current, accepted, f"{folder}/{CURRENT_EPOCH}: {current} is older than the last transaction, 0x{zxid:x}"
        if accepted < current:
            return current, accepted, f"{folder}/{ACCEPTED_EPOCH}: {accepted} is below the current epoch, {current}"
        return current, accepted, ""

    def _epoch(self, name: str, absent: int) -> int:
        text = files.read_text(f"{self.snapshots}/{name}")
        if text is None:
            return absent
        try:
            return int(text.split("\n")[0])
        except ValueError:
            raise Damaged(f"{self.snapshots}/{name}, offset 0: not a number: {text[:20]!r}") from None


def follows(zxid: int, last: int) -> bool:
    """Whether a transaction can be the next one: one more, or the first of a later epoch."""
    return zxid == last + 1 or (zxid >> 32 > last >> 32 and zxid & 0xFFFFFFFF == 1)
