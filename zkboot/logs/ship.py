"""Shipping: the journal is the buffer, with journald's bound on disk; what was read of it is put, and then the place is kept.

Killed between the two, it puts again: each event arrives at least once. While AWS is away it waits, holding one batch, and the
journal goes on; what journald deletes meanwhile is said, as a number.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from zkboot.errors import UnknownFact, ZkbootError
from zkboot.logs.batches import LARGEST_BATCH, MOST_EVENTS, Event, batches, event
from zkboot.logs.journal import Entry, Journal, Place, missing
from zkboot.steps import step
from zkboot.zookeeper import files

GATHER = 2.0  # seconds from the first entry to its batch
LOOK = 0.5  # seconds from one look at whether to end to the next
FIRST_PATIENCE, LAST_PATIENCE = 1.0, 60.0  # seconds between two attempts

Tell = Callable[[str], None]
Stopped = Callable[[], bool]


class Target(Protocol):
    def put(self, stream: str, events: Sequence[Event]) -> int:
        """Returns how many events were not taken. Raises UnknownFact."""


class Gathered(NamedTuple):
    """Entries in the journal's order, and the place after them."""

    entries: tuple[Entry, ...]
    place: Place | None


class Shipper:
    """`prefix` begins each stream's name; the place is kept at `path`. `stopped` is asked at least each second, but in a call."""

    def __init__(self, target: Target, prefix: str, path: str, tell: Tell, stopped: Stopped) -> None:
        self._target = target
        self._prefix = prefix
        self._path = path
        self._tell = tell
        self._stopped = stopped
        self._place = read_place(path, tell)
        self._journal: Journal | None = None
        self._begins = True  # nothing has come of it yet

    def run(self) -> None:
        """Until it is stopped, when what has been said until then goes out, once tried. Raises ZkbootError without a journal."""
        try:
            while not self._stopped():
                self._ship(self._gather())
            self._ship(self._gather())
        finally:
            self._close()

    def _gather(self) -> Gathered:
        """What comes in a while from the first entry on that counts, at most one batch; when it is stopped, what there is."""
        found: list[Entry] = []
        place, size, end = self._place, 0, None
        while end is None or time.monotonic() < end:
            read = 0
            for entry in self._read():
                read += 1
                place = entry.place
                if entry.stream:
                    found.append(entry)
                    size += len(entry.message.encode(errors="replace"))
            if found and end is None:
                end = time.monotonic() + GATHER
            full = size >= LARGEST_BATCH or len(found) >= MOST_EVENTS
            if full or (not read and self._stopped()):
                break
        return Gathered(tuple(found), place)

    def _read(self) -> Iterator[Entry]:
        if self._journal is None:
            self._journal, self._begins = Journal(self._place), True
        for entry in self._journal.read(LOOK):
            if self._begins and self._place and (lost := missing(self._place, entry.place)):
                self._tell(f"{lost} entries of the journal were deleted before they could be shipped, and are lost")
            self._begins = False
            yield entry

    def _ship(self, gathered: Gathered) -> None:
        waiting = list(self._batches(gathered.entries))
        if not waiting:
            return
        began, patience, refused = time.monotonic(), FIRST_PATIENCE, 0
        while waiting:
            stream, batch = waiting[0]
            try:
                refused += self._target.put(stream, batch)
                del waiting[0]
            except UnknownFact as error:
                if self._journal is not None:
                    self._close()
                    began = time.monotonic()
                    self._tell(f"nothing is shipped for now, the journal keeps it: {error}")
                if not self._wait(patience):
                    return
                patience = min(patience * 2, LAST_PATIENCE)
        if self._journal is None:
            self._tell(f"shipping again, after {time.monotonic() - began:.0f} s")
        if refused:
            self._tell(f"CloudWatch Logs did not take {refused} events: too old, or past the log group's retention")
        self._place = gathered.place
        with step("keep place"):
            keep_place(self._path, self._place)

    def _batches(self, entries: Sequence[Entry]) -> Iterator[tuple[str, tuple[Event, ...]]]:
        streams: dict[str, list[Event]] = {}
        now = int(time.time() * 1000)
        for entry in entries:
            if (made := event(entry.time, entry.message, now)) is not None:
                streams.setdefault(self._prefix + entry.stream, []).append(made)
        for stream, events in streams.items():
            for batch in batches(events):
                yield stream, batch

    def _wait(self, seconds: float) -> bool:
        """Whether to try again then."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._stopped():
                return False
            time.sleep(LOOK)
        return True

    def _close(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None


def read_place(path: str, tell: Tell) -> Place | None:
    """Where shipping goes on; None is the journal's beginning, from where all is shipped, once more rather than never."""
    try:
        text = files.read_text(path)
    except OSError as error:
        raise ZkbootError(f"{path}: cannot be read: {error.strerror}") from error
    if text is None:
        return None
    try:
        kept = json.loads(text)
        return Place(str(kept["cursor"]), int(kept["number"]), str(kept["numbers"]))
    except (ValueError, KeyError, TypeError):
        tell(f"{path} does not say how far the journal was shipped: all of it is shipped again")
        return None


def keep_place(path: str, place: Place | None) -> None:
    """Raises ZkbootError."""
    if place is None:
        return
    try:
        files.write(path, json.dumps({"schema": 1, **place._asdict()}))
    except OSError as error:
        raise ZkbootError(f"{path}: how far the journal was shipped cannot be written: {error.strerror}") from error
