"""One cell played: a moment is brought about, a fault strikes, and what becomes of it is taken down."""

import re
import time
from collections import Counter
from contextlib import suppress
from datetime import datetime

from tests.chaos.cells import Cell
from tests.chaos.faults import STRIKES, over
from tests.chaos.moments import BROUGHT_ABOUT, SIZE, Roles
from tests.chaos.outcome import BIN, HALTED, HEALED, IMPOSSIBLE, LOST, PROBLEM, Outcome, Said
from tests.lab.errors import LabError, NotPossibleHere
from tests.lab.group import Group
from tests.lab.ledger import Ledger, Report
from tests.lab.network import Namespaces
from tests.scenarios.stage import Stage
from tests.scenarios.story import LONG, Orders, count_said

LASTS = 6.0  # seconds, of the faults that end by themselves: two turns in the lab, and longer than a client's session
LASTING = ("power", "disk full", "partitioned", "AWS out", "throttled", "clock jumped")
VOLUME = "160m"  # of a machine whose disk is to be filled
ROOMY = "disk full"
SHOWN = 30  # writes acknowledged before all else, and after it
SENTENCES = 60  # kept of each cell
HALT = r"^\S+ halted:"
LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) (.*)")
DULL = re.compile(r"healthy|serving|not serving|no backup|zkboot: |\S+: (no connection|Connection refused)")


class NobodyLeft(Exception):
    """No disk with data is left, and zkboot says that a person must decide."""


class Lab:
    """A region with an ensemble of four, from cell to cell for as long as it heals; with a network of its own where it can be."""

    def __init__(self) -> None:
        self.stage = Stage()
        self._zk: Group | None = None

    def ensemble(self) -> Group:
        """Three voters and a spare serve."""
        if self._zk is not None:
            with suppress(LabError):
                return self._whole(self._zk)
        try:
            region = self.stage.region(Namespaces())
        except NotPossibleHere:
            region = self.stage.region()
        self._zk = region.group(SIZE, environment=Orders())
        return self._whole(self._zk)

    def _whole(self, zk: Group) -> Group:
        zk.region.no_capacity()
        zk.scale(SIZE)
        zk.wait_serving(SIZE, LONG)
        zk.wait_until(lambda: len(zk.voters()) == 3 and zk.observers(), "three voters and an observer", LONG)
        return zk

    def forget(self, keep_as: str = "") -> str:
        """The next cell begins with a new region; the folder of this one's machines."""
        self._zk = None
        return self.stage.close(keep_as)


def play(lab: Lab, cell: Cell) -> Outcome:
    began = time.monotonic()
    try:
        outcome = Play(lab.ensemble(), cell).run()
        if outcome.kind == HALTED:
            lab.forget()
    except NotPossibleHere as reason:
        outcome = Outcome(cell.name, IMPOSSIBLE, str(reason))
        lab.forget()
    except (LabError, AssertionError) as error:
        kept = lab.forget(keep_as="".join(c if c.isalnum() else "-" for c in cell.name))
        outcome = Outcome(cell.name, PROBLEM, f"{error}\nthe machines' folders: {kept}")
    return outcome._replace(took=round(time.monotonic() - began, 1))


class Play:
    """The ensemble, its account, and when what happened."""

    def __init__(self, zk: Group, cell: Cell) -> None:
        self.zk = zk
        self.cell = cell
        self.struck = self.ended = self.healed = -1.0

    def run(self) -> Outcome:
        if self.cell.fault == ROOMY:
            make_room(self.zk)
        self.ledger = Ledger(self.zk)
        with suppress(NobodyLeft), self.ledger:
            self.more_writes()
            self.began = time.time() - self.ledger.seconds
            self.roles = self.cast()
            self.names = self.call_by_role()
            if self.cell.moment == "idle":
                with self.ledger.rest():
                    self.happen()
            else:
                self.happen()
            self.more_writes()
        return self.account(self.ledger.report)

    def more_writes(self) -> None:
        """As many as show in a plot that there are any."""
        begun = self.ledger.acknowledged
        self.zk.wait_until(lambda: self.ledger.acknowledged >= begun + SHOWN, "writes are acknowledged", LONG)

    def cast(self) -> Roles:
        (observer,) = self.zk.observers()
        return Roles(self.zk.leader(), *self.zk.followers(), observer)

    def call_by_role(self) -> dict[str, str]:
        return {machine.instance_id: role.replace("other", "follower") for role, machine in self.roles._asdict().items()}

    def happen(self) -> None:
        """The moment, the fault, and the way back."""
        held = BROUGHT_ABOUT[self.cell.moment](self.zk, self.ledger, self.roles)
        machines = self.roles.struck(self.cell.who, self.zk)
        self.struck = self.ledger.seconds
        end = STRIKES[self.cell.fault](self.zk, machines)
        held.go_on()
        if self.cell.fault in LASTING:
            self.zk.wait_until(lambda: self.ledger.seconds > self.struck + LASTS, "the fault lasts")
        if end is not over:
            end()
            self.ended = self.ledger.seconds
        became = self.zk.wait_until(lambda: self.becomes(held.size), f"{held.size} serve, all let in", LONG)
        self.healed = self.ledger.seconds
        self.put_right()
        if became == HALTED:
            raise NobodyLeft

    def becomes(self, size: int) -> str:
        """What has become of the ensemble; "" while it is under way."""
        if self.zk.in_service(size) and self.zk.serving(size):
            return HEALED
        halts = self.cell.may_halt and any(count_said(machine, HALT) for machine in self.zk.living)
        return HALTED if halts else ""

    def put_right(self) -> None:
        """What the cell had ordered of the machines' zkboots."""
        for machine in self.zk.living:
            machine.stop_at_step()

    # The account

    def account(self, report: Report | None) -> Outcome:
        times = self.ledger.times
        counted = Counter(int(moment / BIN) for moment in times)
        said = self.sentences()
        outcome = Outcome(
            self.cell.name,
            HEALED,
            acknowledged=len(times),
            struck=round(self.struck, 2),
            ended=round(self.ended, 2),
            healed=round(self.healed, 2),
            writes=tuple(counted[i] for i in range(int(max([*times, self.healed]) / BIN) + 1)),
            longest_gap=round(self.ledger.gap(self.struck, self.ledger.seconds), 2),
            sentence=telling(said),
            said=tuple(said),
        )
        if report is None:
            why = "no disk with data is left: it creates nothing over what was there, and a person decides"
            return outcome._replace(kind=HALTED, why=why, healed=-1.0)
        outcome = outcome._replace(lost=len(report.lost), unknown=report.unknown)
        if not report.lost:
            return outcome
        if self.cell.may_lose:
            return outcome._replace(kind=LOST, why="the last writes were on no disk that is left")
        return outcome._replace(kind=PROBLEM, why=f"{len(report.lost)} acknowledged writes are lost: {report.lost[:20]}")

    def sentences(self) -> list[Said]:
        """What zkboot said since the fault, in order; what a machine repeats, once."""
        found: list[Said] = []
        for machine in self.zk.machines.values():
            who = f"{self.names.get(machine.instance_id, 'newcomer')} {machine.instance_id[:6]}"
            before = ""
            for line in machine.log().splitlines():
                if not (match := LINE.match(line)):
                    continue
                second = datetime.fromisoformat(match[1]).timestamp() - self.began
                if second >= self.struck - 0.9 and match[2] != before:  # the log says whole seconds
                    found.append(Said(round(second, 1), who, match[2]))
                    before = match[2]
        return sorted(found)[:SENTENCES]


def telling(said: list[Said]) -> str:
    """The sentence that tells most: the first that is no waiting, else the first; "" where no turn had anything to tell."""
    texts = [one.text for one in said if not DULL.match(one.text)]
    return next((text for text in texts if not text.startswith("waiting")), next(iter(texts), ""))


def make_room(zk: Group) -> None:
    """Each machine's data volume becomes one of its own size, one machine after the other."""
    for machine in zk.living:
        if not (machine.root / "vol").is_mount():
            machine.power_cut()
            machine.limit_volume(VOLUME)
            machine.power_on()
            zk.wait_serving(SIZE, LONG)
