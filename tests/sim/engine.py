"""Simulated time and the turns' interleaving, wholly decided by one seed.

A turn is a greenlet of its own: it runs until it ends or stands still, so exactly one ever runs. At a *point* (each protocol
call, before and after each named step, inside the disk's compound operations) the turn stands still where the schedule wants
another to go first, or ends where the schedule kills it.
"""

import heapq
import itertools
import math
import random
from collections.abc import Callable, Mapping
from contextlib import suppress

from greenlet import getcurrent, greenlet


class Killed(BaseException):
    """The process that ran this turn is gone; nothing after this point of it happens."""


class Odds:
    """Whether something befalls the next point or call, each with its chance. Drawn is how often nothing will: once for many."""

    def __init__(self, random: random.Random, chances: Mapping[str, float]) -> None:
        self._random = random
        self._chances = {what: chance for what, chance in chances.items() if chance}
        self._left = {what: self._until_next(chance) for what, chance in self._chances.items()}

    def strike(self, what: str) -> bool:
        left = self._left.get(what)
        if left is None:
            return False
        self._left[what] = left - 1 if left else self._until_next(self._chances[what])
        return not left

    def _until_next(self, chance: float) -> int:
        return int(math.log(1.0 - self._random.random()) / math.log(1.0 - chance))


class Fiber:
    """Runs one job after the other, each of which can stand still in the middle while others go on."""

    def __init__(self) -> None:
        self._greenlet = greenlet(self._serve)
        self._job: Callable[[], None] | None = None
        self.killed = False

    @property
    def busy(self) -> bool:
        return self._job is not None

    def begin(self, job: Callable[[], None]) -> None:
        """Run the job until it pauses or ends."""
        assert self._job is None
        self._job, self.killed = job, False
        self.resume()

    def resume(self) -> None:
        """Let the job go on until it pauses again or ends. A mistake of the simulation's own is raised from here."""
        self._greenlet.parent = getcurrent()
        self._greenlet.switch()

    def pause(self) -> None:
        """Called by the job: stand still until resumed."""
        self._hand_back()
        if self.killed:
            raise Killed

    def kill(self) -> None:
        """End a job that stands still at the point where it stands."""
        if self.busy:
            self.killed = True
            self.resume()

    def close(self) -> None:
        self.kill()
        self._greenlet.throw()

    def _hand_back(self) -> None:
        assert self._greenlet.parent is not None
        self._greenlet.parent.switch()

    def _serve(self) -> None:
        while self._job is not None:
            with suppress(Killed):
                self._job()
            self._job = None
            self._hand_back()


class Scheduler:
    """The events in order of time; equal times in the order in which they were added."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 1_000_000.0
        self.start = self.now
        self.over = False  # nothing more will come of this schedule
        self.story: list[str] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._count), event))

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let so much time pass, or less when `until` becomes true; returns whether it did."""
        end = self.now + seconds
        while self._events and self._events[0][0] <= end and not self.over:
            at, _, event = heapq.heappop(self._events)
            self.now = max(self.now, at)
            event()
            if until():
                return True
        self.now = max(self.now, end)
        return until()

    def tell(self, text: str) -> None:
        self.story.append(f"{self.now - self.start:8.2f}  {text}")
