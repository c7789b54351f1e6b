"""A client that writes the whole time and remembers every acknowledged write; at the end it reads each of them back."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from tests.lab.ensemble import QUIET
from tests.lab.errors import LabError, NotReached
from tests.lab.group import DEADLINE, Group

ROOT = "/ledger"
PAUSE = 0.03  # seconds between writes
ANSWER = 2.0  # seconds until a write without an answer is given up: its outcome is unknown, it is neither acknowledged nor lost
SESSION = 4.0  # seconds
READ_BACK = 180.0  # seconds in which every acknowledged write must have been read


class Event(NamedTuple):
    """What was done while the ledger wrote. Times in seconds since its beginning."""

    name: str
    began: float
    took: float
    longest_gap: float  # between two acknowledged writes, of those gaps that reach into the event


class Report(NamedTuple):
    acknowledged: int
    lost: tuple[int, ...]  # numbers of acknowledged writes that were not read back
    unknown: int  # writes without an answer, or refused: they may be there or not
    longest_gap: float  # seconds
    events: tuple[Event, ...]


class Ledger:
    """`with Ledger(group) as ledger:` writes until the block ends; `report` then holds the account.

    Each write creates /ledger/NAME-NUMBER, its value holds both. The client follows the group's living machines.
    Leaving the block without an error reads everything back; LabError when that is not possible (unread is not lost).
    """

    def __init__(self, group: Group, file: Path | None = None) -> None:
        self.name = f"{time.time_ns():x}"
        self.report: Report | None = None
        self._hosts: Callable[[], list[str]] = lambda: group.hosts
        self._wait = group.wait_until
        self._file = file or group.region.path / f"ledger-{self.name}"
        self._began = time.monotonic()
        self._acknowledged: list[int] = []
        self._times: list[float] = []  # of each acknowledgement, since the beginning
        self._events: list[tuple[str, float, float]] = []  # name, began, ended
        self._unknown = 0
        self._followed = ""
        self._ended = threading.Event()
        self._pen = threading.Lock()  # held by whoever writes, or wants nothing written
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> "Ledger":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        ended = self._now()
        self._ended.set()
        self._thread.join()
        if kind is None:
            if self._error is not None:
                raise LabError("the ledger's writer failed") from self._error
            lost = self._read_back()
            self.report = self._account(lost, ended)

    @property
    def acknowledged(self) -> int:
        return len(self._acknowledged)

    @property
    def times(self) -> tuple[float, ...]:
        """When each acknowledged write was, in seconds since the beginning."""
        return tuple(self._times)

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self._now()

    def wait_writing(self, deadline: float = DEADLINE) -> None:
        """Until a write that begins from now on is acknowledged."""
        begun = self._now()
        self._wait(lambda: self._since(begun) >= 2, "the ledger's writes are acknowledged", deadline)

    @contextmanager
    def rest(self) -> Iterator[None]:
        """Nothing is written in this block."""
        with self._pen:
            yield

    @contextmanager
    def event(self, name: str) -> Iterator[None]:
        """Name what is done in this block, for the report."""
        began = self._now()
        yield
        self._events.append((name, began, self._now()))

    def gap(self, began: float, ended: float) -> float:
        """The longest time without an acknowledged write of those that reach into this window."""
        times = list(self._times)
        if not times:
            return ended - began
        gaps = [(a, b) for a, b in zip(times, [*times[1:], max(ended, times[-1])], strict=True) if b > began and a < ended]
        return max((b - a for a, b in gaps), default=0.0)

    def _since(self, instant: float) -> int:
        return sum(moment >= instant for moment in self._times[-100:])

    def _now(self) -> float:
        return time.monotonic() - self._began

    # Writing

    def _write(self) -> None:
        try:
            with self._client() as client, open(self._file, "a", encoding="ascii") as file:
                number = 0
                while not self._ended.wait(PAUSE):
                    self._follow(client)
                    if not client.connected:
                        continue
                    number += 1
                    with self._pen:
                        acknowledged = self._write_one(client, number)
                    if acknowledged:
                        self._times.append(self._now())
                        self._acknowledged.append(number)
                        file.write(f"{number}\n")
                        file.flush()
                    else:
                        self._unknown += 1
        except BaseException as error:
            self._error = error

    def _write_one(self, client: Any, number: int) -> bool:
        """Whether the ensemble acknowledged it."""
        from kazoo.exceptions import KazooException, NoNodeError
        from kazoo.handlers.threading import KazooTimeoutError

        try:
            client.create_async(self._path(number), self._value(number)).get(timeout=ANSWER)
        except NoNodeError:
            self._make_root(client)
            return False
        except (KazooException, KazooTimeoutError):
            return False
        return True

    def _make_root(self, client: Any) -> None:
        from kazoo.exceptions import KazooException
        from kazoo.handlers.threading import KazooTimeoutError

        try:
            client.create_async(ROOT).get(timeout=ANSWER)
        except (KazooException, KazooTimeoutError):
            return

    def _follow(self, client: Any) -> None:
        """The client may reconnect to whoever lives now."""
        hosts = ",".join(self._hosts())
        if hosts not in ("", self._followed):
            client.set_hosts(hosts)
            self._followed = hosts

    def _path(self, number: int) -> str:
        return f"{ROOT}/{self.name}-{number:08d}"

    def _value(self, number: int) -> bytes:
        return f"{self.name} {number}".encode()

    @contextmanager
    def _client(self) -> Iterator[Any]:
        from kazoo.client import KazooClient
        from kazoo.retry import KazooRetry

        again = KazooRetry(max_tries=-1, delay=0.02, backoff=1, max_delay=0.1, interrupt=self._ended.is_set)
        while not (hosts := self._hosts()) and not self._ended.wait(PAUSE):
            pass
        client = KazooClient(",".join(hosts) or "127.0.0.1:1", timeout=SESSION, connection_retry=again, logger=QUIET)
        client.start_async()
        try:
            yield client
        finally:
            client.stop()
            client.close()

    # Reading back

    def _read_back(self) -> tuple[int, ...]:
        """Numbers of the acknowledged writes that are not there. Answers count only after a write
        (a leader cut off from its followers answers a sync, but acknowledges no write)."""
        from kazoo.client import KazooClient
        from kazoo.exceptions import KazooException
        from kazoo.handlers.threading import KazooTimeoutError

        deadline = time.monotonic() + READ_BACK
        why: BaseException | None = None
        while time.monotonic() < deadline:
            client = KazooClient(",".join(self._hosts()), timeout=SESSION, logger=QUIET)
            try:
                client.start(timeout=15)
                client.create_async(f"{ROOT}/{self.name}-read", makepath=True, sequence=True).get(timeout=10)
                client.sync_async(ROOT).get(timeout=10)
                return tuple(self._missing(client))
            except (KazooException, KazooTimeoutError) as error:
                why = error
            finally:
                client.stop()
                client.close()
        raise NotReached(f"{self.acknowledged} acknowledged writes could not be read back within {READ_BACK:g} s: {why!r}")

    def _missing(self, client: Any) -> Iterator[int]:
        from kazoo.exceptions import NoNodeError

        answers = [(number, client.get_async(self._path(number))) for number in self._acknowledged]
        for number, answer in answers:
            try:
                value, _ = answer.get(timeout=30)
            except NoNodeError:
                yield number
                continue
            if value != self._value(number):
                yield number

    def _account(self, lost: tuple[int, ...], ended: float) -> Report:
        events = tuple(Event(name, began, end - began, self.gap(began, end)) for name, began, end in self._events)
        longest = self.gap(self._times[0], ended) if self._times else ended
        return Report(len(self._acknowledged), lost, self._unknown, longest, events)
