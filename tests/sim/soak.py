"""`python -m tests.sim.soak`: very many random schedules on all cores, resumable, with a progress bar and the rate.

What was played is kept beside the other tools' caches and goes on where it ended, as long as nothing that is played of zkboot and
of the simulated world has changed since; a change begins anew.
"""

import argparse
import ast
import gc
import hashlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.sim import chaos
from tests.sim.quick import quick

ROOT = Path(__file__).parents[2]
STATE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "zkboot" / "soak.json"
REPLAYED = "`python -m tests.sim --seed {seed} --shrink` tells it"
CHUNK = 50
SAVE_SECONDS = 5.0


class Part(NamedTuple):
    """The result of the schedules from `first` on: `failed` by seed, with what was seen."""

    first: int
    failed: dict[int, str]
    sums: Counter[str]


def play(first: int) -> Part:
    """The schedules of one chunk."""
    failed, sums = {}, Counter[str]()
    with quick(), uncollected():
        for seed in range(first, first + CHUNK):
            outcome = chaos.run(seed)
            sums.update(
                schedules=1,
                acknowledged=outcome.acknowledged,
                excused=outcome.excused,
                halted=outcome.halted,
                replaced=max(0, outcome.generations - 1),
            )
            if outcome.found:
                failed[seed] = outcome.found[0].splitlines()[0]
    return Part(first, failed, sums)


@contextmanager
def uncollected() -> Iterator[None]:
    """Garbage is collected once at the end: a chunk's fits into memory, and to look for it all the time takes a tenth longer."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()


def parts(first: int, count: int, jobs: int) -> Iterator[Part]:
    """Chunks in order, played by so many processes; `count` is rounded up to whole chunks."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("fork"), initializer=end_with, initargs=(os.getpid(),)) as pool:
        yield from pool.map(play, range(first, first + count, CHUNK))


def end_with(parent: int) -> None:
    """This process ends soon after its parent, however that ended: nobody would take what it plays. What it has of the parent's
    memory, which may be large, is no garbage of its own."""
    gc.freeze()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def digest() -> str:
    """Of all that decides how a schedule ends: the statements of what is imported here of zkboot and of the simulation."""
    modules = (module for name, module in sys.modules.items() if name.startswith(("zkboot", "tests.sim.")))
    played = {Path(module.__file__) for module in modules if module.__file__} | {Path(__file__)}
    return hashlib.sha256("".join(statements(path.read_text()) for path in sorted(played)).encode()).hexdigest()


def statements(source: str) -> str:
    """Without comments and docstrings, which anybody may mend while a soak goes on."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.dump(tree)


class Journal:
    """What was played so far, on disk."""

    def __init__(self, path: Path) -> None:
        self.path, self.digest = path, digest()
        self.done, self.failed, self.sums = 0, dict[str, str](), Counter[str]()
        if path.exists():
            self._take_over(json.loads(path.read_text()))

    def _take_over(self, kept: dict[str, Any]) -> None:
        if kept.get("digest") == self.digest:
            self.done, self.failed, self.sums = kept["done"], kept["failed"], Counter(kept["sums"])

    def add(self, part: Part) -> None:
        self.done = part.first + CHUNK
        self.failed |= {str(seed): text for seed, text in part.failed.items()}
        self.sums += part.sums

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".tmp")
        beside.write_text(json.dumps({"digest": self.digest, "done": self.done, "failed": self.failed, "sums": self.sums}))
        beside.replace(self.path)


def summary(sums: Counter[str], failed: int) -> str:
    return (
        f"{sums['schedules']:,} schedules, {failed} failed; {sums['halted']:,} halted rightly, "
        f"{sums['replaced']:,} generations replaced, {sums['acknowledged']:,} writes acknowledged, "
        f"{sums['excused']:,} of them lost with every disk that had them"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.soak", description="Very many random schedules, on all cores.")
    parser.add_argument("--count", type=int, default=1_000_000, help="schedules in all, those played before included")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--state", type=Path, default=STATE, help="what was played so far")
    parser.add_argument("--anew", action="store_true", help="forget what was played")
    given = parser.parse_args()
    if given.anew:
        given.state.unlink(missing_ok=True)
    journal, console = Journal(given.state), Console()
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]:,.0f} a second"), TimeRemainingColumn())
    before, began, saved = journal.done, time.monotonic(), 0.0
    if before:
        console.print(f"going on after {before:,} schedules")
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=given.count, completed=before, rate=0.0)
        try:
            for part in parts(before, given.count - before, given.jobs):
                journal.add(part)
                now = time.monotonic()
                progress.update(task, completed=journal.done, rate=(journal.done - before) / (now - began))
                for seed, text in part.failed.items():
                    console.print(f"seed {seed}: {text}; {REPLAYED.format(seed=seed)}", soft_wrap=True)
                if now - saved > SAVE_SECONDS:
                    journal.save()
                    saved = now
        except KeyboardInterrupt:
            console.print("stopped; the same command goes on from here")
        finally:
            journal.save()
    console.print(summary(journal.sums, len(journal.failed)))
    return 1 if journal.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
