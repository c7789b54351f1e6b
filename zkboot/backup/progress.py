"""How far a long step has come: a bar, where a person looks on. A log gets one line of each step, which its caller writes."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from zkboot.backup.sizes import span

MIB = 1 << 20
EVERY = 0.1  # seconds from one drawing to the next
CELLS = 24
FEWEST = 4  # cells: fewer are no bar
CLEARED = "\r\x1b[K"

screen: TextIO | None = None  # the terminal, set by the command line where there is one


@contextmanager
def shown(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Call what it gives with each number of bytes done, of `total`. The bar is gone in the end."""
    if screen is None:
        yield lambda count: None
        return
    bar = _Bar(screen, what, total)
    try:
        yield bar.moved
    finally:
        screen.write(CLEARED)
        screen.flush()


class _Bar:
    def __init__(self, terminal: TextIO, what: str, total: int) -> None:
        self._terminal = terminal
        self._what = what
        self._total = max(total, 1)
        self._done = 0
        self._began = time.monotonic()
        self._drawn = 0.0

    def moved(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._drawn >= EVERY:
            self._drawn = now
            columns = shutil.get_terminal_size().columns - 1
            self._terminal.write(CLEARED + line(self._what, self._done, self._total, now - self._began, columns))
            self._terminal.flush()


def line(what: str, done: int, total: int, seconds: float, columns: int) -> str:
    """`copying [######------------------]  25% 1 of 4 MiB, 2 MiB/s, 2 s left`, with a shorter bar where there is not the room
    for that one."""
    part = min(done / total, 1.0)
    rate = done / max(seconds, 0.001)
    left = f", {span((total - done) / rate)} left" if 0 < done < total else ""
    unit, name = (MIB, "MiB") if total >= MIB else (1024, "KiB")
    told = f"{part:4.0%} {done / unit:.0f} of {total / unit:.0f} {name}, {rate / unit:.0f} {name}/s{left}"
    room = min(CELLS, columns - len(f"{what} [] {told}"))
    cells = int(part * room)
    bar = f"[{'#' * cells}{'-' * (room - cells)}] " if room >= FEWEST else ""
    return f"{what} {bar}{told}"[:columns]
