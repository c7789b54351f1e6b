"""What makes the real code quicker in the simulation, and changes nothing that it does."""

import json
from functools import cached_property, lru_cache
from typing import Any

from zkboot import documents, policy, reconcile
from zkboot import record as records
from zkboot.model import Limits, Observation, Report
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
def read_once(body: bytes, etag: str, modified: float, key: str) -> Report:
    return READ_REPORT(Stored(body, etag, modified, 0.0), key)


def report(stored: Stored, key: str) -> Report:
    return read_once(stored.body, stored.etag, stored.modified, key)


def limits(settings: Settings) -> Limits:
    """Once for each settings, which live as long as the process (`simulation.loaded`)."""
    found = LIMITS.get(id(settings))
    if found is None:
        found = LIMITS[id(settings)] = WEIGHED(settings)
    return found


class Remembered:
    """`Words` of an observation that were read before."""

    def __init__(self) -> None:
        self._last: Words | None = None

    def __call__(self, seen: Observation) -> Words:
        if self._last is None or self._last.seen is not seen:
            self._last = Words(seen)
        return self._last


def compact(document: dict[str, Any]) -> bytes:
    """Without the line breaks and blanks that people like."""
    return json.dumps({"schema": documents.SCHEMA, **document}, sort_keys=True).encode()


READ_REPORT = records._report
WEIGHED = Settings.limits
LIMITS: dict[int, Limits] = {}
WORDS = Remembered()
# The same bytes are read again and again, and what they say is never changed.
PATCHES: tuple[tuple[object, str, Any], ...] = (
    (records, "ThreadPoolExecutor", InTurn),
    (records, "_report", report),
    (Settings, "limits", limits),
    (policy, "Words", WORDS),
    (reconcile, "Words", WORDS),
    (documents, "_dump", compact),
    (documents, "record_of_json", lru_cache(KEPT)(documents.record_of_json)),
    (documents, "report_of_json", lru_cache(KEPT)(documents.report_of_json)),
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
