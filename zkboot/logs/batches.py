"""Entries as CloudWatch Logs takes them: "PutLogEvents" in its API reference gives every limit here."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

LARGEST_BATCH = 1_048_576  # bytes: each message in UTF-8, and 26 for each event
OVERHEAD = 26
MOST_EVENTS = 10_000
LONGEST_SPAN = 24 * 3600 * 1000  # milliseconds from the first event of a batch to the last
LARGEST_EVENT = 262_144  # bytes, the overhead included
CUT = " [cut: {} bytes in all]"


class Event(NamedTuple):
    """When (milliseconds since 1970), and what."""

    time: int
    message: str

    @property
    def size(self) -> int:
        return len(self.message.encode()) + OVERHEAD


def event(time: int, message: str, now: int) -> Event | None:
    """One that is taken; None where nothing is said. What the clock had ahead of its time, before it was set, is now: an event
    two hours ahead is refused."""
    # What came as no UTF-8 has been replaced, lone surrogates cannot be encoded.
    clean = message.encode(errors="replace").decode()
    return Event(min(time, now), _cut(clean)) if clean.strip() else None


def batches(events: Iterable[Event]) -> Iterator[tuple[Event, ...]]:
    """In the order of time (what has the same time keeps its order), each batch within the limits."""
    batch: list[Event] = []
    size = 0
    for each in sorted(events, key=lambda e: e.time):
        full = len(batch) == MOST_EVENTS or size + each.size > LARGEST_BATCH
        if batch and (full or each.time - batch[0].time >= LONGEST_SPAN):
            yield tuple(batch)
            batch, size = [], 0
        batch.append(each)
        size += each.size
    if batch:
        yield tuple(batch)


def _cut(message: str) -> str:
    encoded = message.encode()
    room = LARGEST_EVENT - OVERHEAD
    if len(encoded) <= room:
        return message
    mark = CUT.format(len(encoded))
    return encoded[: room - len(mark)].decode(errors="ignore") + mark
