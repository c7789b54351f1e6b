"""What makes the real code quicker in the simulation, and changes nothing that it does."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, lru_cache, partial
from typing import Any

from zkboot import documents, observe, policy, reconcile, turns
from zkboot import record as records
from zkboot.model import Configuration, Data, Record, Report
from zkboot.settings import Settings
from zkboot.words import Words
from zkboot.world import Listed, Store, Stored

KEPT = 1_000
CHECKED = 64  # of the documents written one in so many is read as the product reads it, and compared with what is remembered


class InTurn:
    """In place of `ThreadPoolExecutor`: one after the other, in the thread that holds the baton."""

    def __init__(self, workers: int) -> None:
        pass

    def __enter__(self) -> "InTurn":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    map = staticmethod(map)


class Unlocked(cached_property[Any]):
    """A `cached_property` for one thread at a time: Python before 3.12 takes a lock for each."""

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        value = instance.__dict__[self.attrname] = self.func(instance)
        return value


def unlocked(name: str, fact: cached_property[Any]) -> Unlocked:
    made = Unlocked(fact.func)
    made.__set_name__(Words, name)
    return made


# --- documents: whoever reads one again gets what was written, or read, before


class Memory:
    """What each document's bytes say, with the schema that they were written in."""

    def __init__(self) -> None:
        self._said: dict[bytes, tuple[int, Any]] = {}
        self._count = 0

    def keep(self, body: bytes, said: Any, read: Callable[[bytes, str], Any]) -> bytes:
        """Remember `said`, which `read` makes of the body."""
        self._count += 1
        if self._count % CHECKED == 1:
            assert read(body, "a document just written") == said
        if len(self._said) > KEPT:
            self._said.clear()
        self._said[body] = documents.SCHEMA, said
        return body

    def says(self, body: bytes, key: str, read: Callable[[bytes, str], Any]) -> Any:
        schema, said = self._said.get(body, (0, None))
        return said if 0 < schema <= documents.SCHEMA else read(body, key)


MEMORY = Memory()
WRITE_RECORD, READ_RECORD = documents.record_to_json, documents.record_of_json
WRITE_REPORT, READ_REPORT = documents.report_to_json, documents.report_of_json


def write_record(record: Record) -> bytes:
    members = dict(sorted(record.members.items(), key=lambda member: str(member[0])))
    return MEMORY.keep(WRITE_RECORD(record), record._replace(members=members), READ_RECORD)


def read_record(body: bytes, key: str) -> Any:
    return MEMORY.says(body, key, READ_RECORD)


def write_report(report: Report) -> bytes:
    said = report._replace(etag="", modified=0.0, data=in_order(report.data) if report.data else None)
    return MEMORY.keep(WRITE_REPORT(report), said, READ_REPORT)


def read_report(body: bytes, key: str) -> Any:
    return MEMORY.says(body, key, READ_REPORT)


def in_order(data: Data) -> Data:
    return data._replace(
        committed=sorted_by_id(data.committed) if data.committed else None,
        pending=sorted_by_id(data.pending) if data.pending else None,
    )


@lru_cache(KEPT)
def sorted_by_id(configuration: Configuration) -> Configuration:
    return configuration._replace(servers=tuple(sorted(configuration.servers)))


@lru_cache(KEPT)
def report_once(body: bytes, etag: str, modified: float, key: str, schema: int) -> Report:
    return STORED_REPORT(Stored(body, etag, modified, 0.0), key)


def stored_report(stored: Stored, key: str) -> Report:
    return report_once(stored.body, stored.etag, stored.modified, key, documents.SCHEMA)


def compact(document: dict[str, Any]) -> bytes:
    """Without the line breaks and blanks that people like."""
    return ENCODE({"schema": documents.SCHEMA, **document}).encode()


def etags(listed: tuple[Listed, ...]) -> dict[str, str]:
    return {entry.key.rpartition("/")[2].removesuffix(".json"): entry.etag for entry in listed}


def report_etags(store: Store, cluster: str) -> dict[str, str]:
    """Of the same listing the same answer."""
    return ETAGS(store.list(f"control/{cluster}/reports/"))  # type: ignore[no-any-return]


ENCODE = json.JSONEncoder(sort_keys=True, check_circular=False, separators=(",", ":")).encode
STORED_REPORT = records._report


class Last:
    """A function that remembers what it made last, and of what."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make, self._of, self._made = make, None, None

    def __call__(self, of: Any) -> Any:
        if self._of is not of:
            self._of, self._made = of, self._make(of)
        return self._made

    def __get__(self, instance: Any, owner: Any) -> Any:
        return partial(self, instance)


WORDS, ETAGS = Last(Words), Last(etags)
PATCHES: tuple[tuple[object, str, Any], ...] = (
    (records, "ThreadPoolExecutor", InTurn),
    (records, "_report", stored_report),
    (records, "report_etags", report_etags),
    (Settings, "limits", Last(Settings.limits)),
    (observe, "Words", WORDS),
    (policy, "Words", WORDS),
    (reconcile, "Words", WORDS),
    (turns, "Words", WORDS),
    (documents, "_dump", compact),
    (documents, "record_to_json", write_record),
    (documents, "record_of_json", read_record),
    (documents, "report_to_json", write_report),
    (documents, "report_of_json", read_report),
    *((Words, name, unlocked(name, fact)) for name, fact in vars(Words).items() if isinstance(fact, cached_property)),
)


class Patches:
    """Laid on once for all simulations at a time; what a test has replaced by then is left alone."""

    def __init__(self) -> None:
        self._users = 0
        self._before: list[tuple[object, str, Any]] = []

    def lay_on(self) -> None:
        self._users += 1
        for target, name, new in PATCHES if self._users == 1 else ():
            found = vars(target)[name]
            if target is not Words or isinstance(found, cached_property):
                self._before.append((target, name, found))
                setattr(target, name, new)

    def take_off(self) -> None:
        self._users -= 1
        while self._before and not self._users:
            setattr(*self._before.pop())


patches = Patches()


@contextmanager
def quick() -> Iterator[None]:
    """For many simulations one after the other."""
    patches.lay_on()
    try:
        yield
    finally:
        patches.take_off()
