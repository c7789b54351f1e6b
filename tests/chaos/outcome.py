"""What a cell came to, and the file that keeps it."""

from typing import Any, NamedTuple

from tests.lab.machines import CHECKOUT
from tests.report.played import Results

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

    @property
    def name(self) -> str:
        return self.cell

    @property
    def bad(self) -> bool:
        return self.kind == PROBLEM

    @property
    def line(self) -> str:
        if self.kind in (IMPOSSIBLE, PROBLEM):
            return f"{self.cell}: {self.kind}: {self.why}"
        healed = self.kind if self.kind == HALTED else f"healed after {self.time_to_heal:.1f} s"
        figures = f"{self.acknowledged} writes, {self.lost} lost, longest gap {self.longest_gap:.1f} s"
        return f"{self.cell}: {healed}, {figures} ({self.took:.0f} s): {self.sentence}"


def of_json(fields: dict[str, Any]) -> Outcome:
    found = Outcome(**fields)
    return found._replace(writes=tuple(found.writes), said=tuple(Said(*said) for said in found.said))


RESULTS = Results(CHECKOUT / "build/chaos.jsonl", of_json)
