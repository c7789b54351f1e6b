"""What is worth telling of what the region and its machines say: their decisive sentences, as they come."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.lab.machines import Machine
from tests.lab.region import Region

LOGS = ("cloud-init-output.log", "recover.log")
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (.*)")
INSTANCE = re.compile(r"\bi-[0-9a-f]{17}\b")
SHORT = len("i-0123")

# Waiting is not news; health and the timers are what the demo itself looks for; a race lost is run again at once; a
# machine that is shut down ends its turn.
UNTOLD = re.compile(
    r"waiting|healthy|recovery every|serving as|not serving|gave up|no ensemble to join was seen|nobody leads yet"
    r"|.*looking again$|.*changed meanwhile$|zkboot: ended by"
)
OF_THE_REGION = re.compile(
    r"(?P<who>i-\w+):? (?P<what>launched at .*|is in service|is being taken.*|is shutting down|is terminated)$"
)


class Sentence(NamedTuple):
    """`who` is an instance; `quoted` when it is zkboot that speaks, else the region tells."""

    who: str
    text: str
    quoted: bool


class Witness:
    """Reads on in the region's story and the machines' logs; `news()` is what came since it was last asked."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._told = 0
        self._read: dict[tuple[str, str], int] = {}  # (instance, log) -> how far, in bytes
        self._said: set[tuple[str, str]] = set()

    def news(self) -> Iterator[Sentence]:
        # The logs first: what a machine says is often why the region then moves.
        for machine in list(self._region.machines.values()):
            for name in LOGS:
                yield from self._of(machine, name)
        story = self._region.story[self._told :]
        self._told += len(story)
        for _, sentence in story:
            if match := OF_THE_REGION.match(sentence):
                yield Sentence(match["who"], match["what"].partition(": ")[0], quoted=False)

    def forget(self) -> None:
        """A new chapter: what was said before may be told again."""
        self._said.clear()

    def _of(self, machine: Machine, name: str) -> Iterator[Sentence]:
        path, place = machine.root / name, (machine.instance_id, name)
        if not path.exists():
            return
        with open(path, "rb") as file:
            file.seek(self._read.get(place, 0))
            whole = file.read().rpartition(b"\n")[0]
        if not whole:
            return
        self._read[place] = self._read.get(place, 0) + len(whole) + 1
        for line in whole.decode(errors="replace").splitlines():
            match = STAMP.fullmatch(line)
            text = match[1] if match else line
            if not UNTOLD.match(text) and (machine.instance_id, text) not in self._said:
                self._said.add((machine.instance_id, text))
                yield Sentence(machine.instance_id, text, quoted=True)


def short(text: str) -> str:
    """With the instances' ids shortened; the lab's command line takes them so."""
    return INSTANCE.sub(lambda match: match[0][:SHORT], text)
