"""What a cell came to, and the file that keeps it: one JSON line for each, so that a run that was stopped goes on."""

import json
from pathlib import Path
from typing import NamedTuple

from tests.lab.machines import CHECKOUT

RESULTS = CHECKOUT / "build/chaos.jsonl"
BIN = 0.5  # seconds of writes counted together

HEALED = "healed"
LOST = "lost"  # healed, without writes that no survivor held
HALTED = "halted"  # no disk is left; a person decides
IMPOSSIBLE = "not possible here"
PROBLEM = "problem"


class Said(NamedTuple):
    """One sentence of zkboot's. `second` is since the beginning of the run's account."""

    second: float
    who: str  # the instance, and what it was when the cell began
    text: str


class Outcome(NamedTuple):
    """Seconds are since the beginning of the account; -1 where it did not come to that."""

    cell: str
    kind: str  # HEALED and its like
    why: str = ""  # of what is no HEALED
    acknowledged: int = 0
    lost: int = 0
    unknown: int = 0  # writes without an answer
    longest_gap: float = 0.0  # seconds without an acknowledged write
    struck: float = -1.0
    ended: float = -1.0  # of a fault that lasts
    healed: float = -1.0
    took: float = 0.0  # seconds, the whole cell
    writes: tuple[int, ...] = ()  # acknowledged in each BIN
    sentence: str = ""
    said: tuple[Said, ...] = ()

    @property
    def time_to_heal(self) -> float:
        """Seconds from the fault, or from the end of one that lasts."""
        return max(0.0, self.healed - max(self.struck, self.ended)) if self.healed >= 0 else -1.0


def keep(outcome: Outcome, file: Path = RESULTS) -> None:
    file.parent.mkdir(exist_ok=True)
    with open(file, "a", encoding="utf-8") as results:
        results.write(json.dumps(outcome._asdict()) + "\n")


def kept(file: Path = RESULTS) -> dict[str, Outcome]:
    """The newest outcome of each cell."""
    if not file.exists():
        return {}
    return {outcome.cell: outcome for outcome in map(parse, file.read_text().splitlines())}


def parse(line: str) -> Outcome:
    found = Outcome(**json.loads(line))
    return found._replace(writes=tuple(found.writes), said=tuple(Said(*said) for said in found.said))
