"""Simulated time and the turns' interleaving, wholly decided by one seed.

A turn runs in its node's own thread, but only while it holds the baton: the scheduler hands it over and waits for it to come
back, so exactly one thread ever runs. At a *point* (each protocol call, before and after each named step, inside the disk's
compound operations) the turn gives the baton back where the schedule wants another to go first, or ends where the schedule
kills it.
"""

import heapq
import itertools
import random
import threading
from collections.abc import Callable


class Killed(BaseException):
    """The process that ran this turn is gone; nothing after this point of it happens."""


class Fiber:
    """One thread that runs jobs one after the other, each only while it holds the baton."""

    def __init__(self) -> None:
        self._mine, self._back = threading.Lock(), threading.Lock()
        self._mine.acquire()
        self._back.acquire()
        self._job: Callable[[], None] | None = None
        self._over = False
        self._error: BaseException | None = None
        self.busy = False
        self.killed = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def begin(self, job: Callable[[], None]) -> None:
        """Run the job until it pauses or ends."""
        assert not self.busy
        self._job, self.busy, self.killed = job, True, False
        self.resume()

    def resume(self) -> None:
        self._mine.release()
        self._back.acquire()
        if self._error is not None:
            raise self._error

    def pause(self) -> None:
        """Called by the job: give the baton back until resumed."""
        self._back.release()
        self._mine.acquire()
        if self.killed:
            raise Killed

    def kill(self) -> None:
        """End a paused job at the point where it stands."""
        if self.busy:
            self.killed = True
            self.resume()

    def close(self) -> None:
        self.kill()
        self._over = True
        self._mine.release()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            self._mine.acquire()
            if self._over:
                return
            assert self._job is not None
            try:
                self._job()
            except Killed:
                pass
            except BaseException as error:
                self._error = error  # a mistake of the simulation's own: raised where the baton goes back to
            finally:
                self.busy = False
                self._back.release()


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
