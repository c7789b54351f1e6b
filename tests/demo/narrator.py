"""How the story looks: on a terminal with colours and a moving last line, elsewhere as plain text."""

import sys
import time
from collections.abc import Iterable
from types import TracebackType

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from tests.demo.witness import short

PLAIN_WIDTH = 120  # columns, where there is no terminal
MACHINES = ("cyan", "magenta", "yellow", "green", "blue", "bright_red", "bright_cyan", "bright_magenta")


class Narrator:
    """Prints; each line begins with the seconds since the beginning. A context: the moving line ends with it."""

    def __init__(self, chapters: int) -> None:
        self.console = Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
        self._began = time.monotonic()
        self._chapters = chapters
        self._colours: dict[str, str] = {}
        columns = (SpinnerColumn(), TimeElapsedColumn(), BarColumn(16), TextColumn("{task.description}", markup=False))
        self._progress = Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        self._task = self._progress.add_task("", total=chapters)

    def __enter__(self) -> "Narrator":
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def plain(self, text: str = "", style: str = "") -> None:
        self.console.print(Text(text, style))

    def chapter(self, number: int, title: str) -> None:
        self._progress.update(self._task, completed=number - 1)
        self.console.print()
        self.console.print(Text(f"{number}/{self._chapters}  {title}", "bold"))

    def moves(self, text: str) -> None:
        """What the last line says while the story waits."""
        self._progress.update(self._task, description=short(text))

    def does(self, text: str) -> None:
        """What the demo does to somebody."""
        self._line("", Text(short(text), "bold red"))

    def happens(self, who: str, text: str, quoted: bool) -> None:
        """What the region tells, or what zkboot said on that machine."""
        words = short(text)
        self._line(who, Text(f"“{words}”", self._colour(who)) if quoted else Text(words, "dim"))

    def reached(self, text: str) -> None:
        self._line("", Text(f"✔ {short(text)}", "bold green"))

    def command(self, command: str, what: str) -> None:
        """Something to paste into a shell: never wrapped."""
        self.console.print(Text.assemble("  ", (command, "cyan"), (f"  # {what}" if what else "", "dim")), soft_wrap=True)

    def failed(self, text: str) -> None:
        self.console.print(Text(f"\n✘ {text}", "red"))

    def _line(self, who: str, text: Text) -> None:
        line = Table.grid(padding=(0, 1))
        line.add_column(width=6, justify="right")
        line.add_column(width=6)
        line.add_column()
        line.add_row(Text(f"{self.seconds:.1f}", "dim"), Text(short(who), self._colour(who)), text)
        self.console.print(line)

    def _colour(self, who: str) -> str:
        return self._colours.setdefault(who, MACHINES[len(self._colours) % len(MACHINES)]) if who else ""

    def table(self, title: str, columns: Iterable[str], rows: Iterable[tuple[str, ...]], total: tuple[str, ...]) -> None:
        table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_footer=True)
        for index, (name, footer) in enumerate(zip(columns, total, strict=True)):
            table.add_column(name, footer=footer, justify="right" if index else "left", no_wrap=bool(index))
        for row in rows:
            table.add_row(*row)
        self.console.print()
        self.console.print(table)
