"""What makes the real code quicker in the simulation, and changes nothing that it does."""

import json
from collections.abc import Callable
from functools import cached_property, lru_cache, partial
from typing import Any

from zkboot import documents, policy, reconcile
from zkboot import record as records
from zkboot.model import Record, Report
from zkboot.settings import Settings
from zkboot.words import Words
from zkboot.world import Stored

KEPT = 1_000


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


@lru_cache(KEPT)
def record_once(body: bytes, key: str, schema: int) -> Record:
    return READ_RECORD(body, key)


@lru_cache(KEPT)
def report_once(body: bytes, etag: str, modified: float, key: str, schema: int) -> Report:
    return READ_REPORT(Stored(body, etag, modified, 0.0), key)


def record(body: bytes, key: str) -> Record:
    return record_once(body, key, documents.SCHEMA)


def report(stored: Stored, key: str) -> Report:
    return report_once(stored.body, stored.etag, stored.modified, key, documents.SCHEMA)


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


def compact(document: dict[str, Any]) -> bytes:
    """Without the line breaks and blanks that people like."""
    return json.dumps({"schema": documents.SCHEMA, **document}, sort_keys=True).encode()


READ_REPORT = records._report
READ_RECORD = documents.record_of_json
WORDS = Last(Words)
# The same bytes are read again and again, and what they say is never changed.
PATCHES: tuple[tuple[object, str, Any], ...] = (
    (records, "ThreadPoolExecutor", InTurn),
    (records, "_report", report),
    (Settings, "limits", Last(Settings.limits)),
    (policy, "Words", WORDS),
    (reconcile, "Words", WORDS),
    (documents, "_dump", compact),
    (documents, "record_of_json", record),
    *((Words, name, unlocked(name, fact)) for name, fact in vars(Words).items() if isinstance(fact, cached_property)),
)


class Quick:
    """Lays them on, and takes them off again; what a test has replaced by then is left alone."""

    def __init__(self) -> None:
        self._before: list[tuple[object, str, Any]] = []
        for target, name, new in PATCHES:
            found = vars(target)[name]
            if target is not Words or isinstance(found, cached_property):
                self._before.append((target, name, found))
                setattr(target, name, new)

    def take_off(self) -> None:
        for target, name, found in self._before:
            setattr(target, name, found)
