"""What is played case by case, for hours: the command line of it, and the file of what came of each case, by which a run that was
stopped goes on."""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tests.demo import interrupts
from tests.lab.machines import CHECKOUT

WIDTH = 160  # columns, where there is no terminal


class Outcome(Protocol):
    """A NamedTuple of what JSON knows."""

    @property
    def name(self) -> str:
        """Of its case."""

    @property
    def bad(self) -> bool:
        """A problem, to be played again."""

    @property
    def line(self) -> str:
        """For whoever looks on."""

    def _asdict(self) -> dict[str, Any]: ...


class Case(Protocol):
    @property
    def name(self) -> str: ...


Played = TypeVar("Played", bound=Outcome)
C = TypeVar("C", bound=Case)


class Results(Generic[Played]):
    """The newest outcome of each case, one JSON line for each in `file`."""

    def __init__(self, file: Path, of_json: Callable[[dict[str, Any]], Played]) -> None:
        self.file = file
        self._of_json = of_json

    def keep(self, outcome: Played) -> None:
        self.file.parent.mkdir(exist_ok=True)
        with open(self.file, "a", encoding="utf-8") as file:
            file.write(json.dumps(outcome._asdict()) + "\n")

    def kept(self) -> dict[str, Played]:
        """By the case's name."""
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else ()
        return {outcome.name: outcome for outcome in (self._of_json(json.loads(line)) for line in lines)}

    def forget(self) -> None:
        self.file.unlink(missing_ok=True)


class Stopped(Exception):
    """By a person."""


def console() -> Console:
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)
    interrupts.catch()
    return Console(highlight=False, emoji=False, markup=False, width=None if sys.stdout.isatty() else WIDTH)


def parser(program: str, about: str) -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog=program, description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--only", default="", metavar="WORDS")
    found.add_argument("--again", action="store_true")
    return found


def chosen(cases: Iterable[C], only: str) -> list[C]:
    """Those whose name begins with one of the words, between which are commas; each once."""
    words = tuple(only.split(","))
    return list({case.name: case for case in cases if case.name.startswith(words)}.values())


def play_all(console: Console, results: Results[Played], cases: list[C], play: Callable[[C], Played]) -> None:
    """What has not gone well yet, in order. Raises Stopped; what was played until then is kept."""
    left = list(unplayed(results, cases))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(cases), completed=len(cases) - len(left))
        try:
            for number, case in enumerate(left, len(cases) - len(left) + 1):
                progress.update(task, description=case.name)
                outcome = play(case)
                results.keep(outcome)
                console.print(f"{number:4}/{len(cases)}  {outcome.line}", soft_wrap=True)
                progress.advance(task)
        except KeyboardInterrupt:
            where = results.file.relative_to(CHECKOUT)
            console.print(f"stopped: nothing that was started is left; the next run goes on from {where}")
            raise Stopped from None


def unplayed(results: Results[Played], cases: Iterable[C]) -> Iterator[C]:
    known = results.kept()
    return (case for case in cases if case.name not in known or known[case.name].bad)
