"""The story itself: chapter after chapter, each a fault or a wish, and the state that it must end in."""

import logging
import shlex
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.demo import interrupts
from tests.demo.narrator import Narrator
from tests.demo.witness import SHORT, Witness
from tests.lab.errors import LabError
from tests.lab.group import Group
from tests.lab.ledger import Ledger, Report
from tests.lab.machines import CHECKOUT, Machine
from tests.lab.region import Region
from tests.lab.settings import FASTER
from zkboot.settings_keys import Timing, Zookeeper

DEADLINE = 300.0  # seconds in which each state must be reached; an idle machine takes a few
CHAPTERS = 8
LOOK_EVERY = 0.2  # seconds, while the region is only watched
WHAT_IS_FASTER = {
    "tick_time": "ZooKeeper's tick is {} ms ({})",
    "recover_interval": "the recovery timer fires every {} s ({})",
    "turn_pause": "a turn that is not healthy repeats after {} s ({})",
    "report_interval": "without a quorum reports are written every {} s ({})",
    "consistency": "EC2 may be wrong for {} s ({})",
    "start_limit": "a server may take {} s to start ({})",
}


class Healed(NamedTuple):
    """One row of the table. `first` is how many writes had been acknowledged when it began."""

    name: str
    seconds: float
    first: int


def tell(keep: bool) -> bool:
    """The whole story; with `keep` the region then runs on until Ctrl-C. Whether all states were reached and nothing was lost."""
    # kazoo warns of every lost connection, which is what this story is made of.
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)
    with Narrator(CHAPTERS) as narrator:
        try:
            return in_region(narrator, keep)
        except LabError as error:
            narrator.failed("\n".join([str(error), *getattr(error, "__notes__", ())]))
            return False


def in_region(narrator: Narrator, keep: bool) -> bool:
    with Region() as region:
        try:
            return Story(narrator, region).run(keep)
        finally:
            # What began must be put away whole, whoever loses patience.
            interrupts.ignore()


class Story:
    """The region, who is in it, and what has been reached so far."""

    def __init__(self, narrator: Narrator, region: Region) -> None:
        self.narrator = narrator
        self.region = region
        self.witness = Witness(region)
        self.chapter = 0
        self.healed: list[Healed] = []

    def run(self, keep: bool) -> bool:
        self.introduce()
        self.begin("Three empty machines become an ensemble")
        zk = self.zk = self.region.group(size=3)
        self.ledger = Ledger(zk, file=self.region.path / "ledger")
        with self.event("3 empty machines become an ensemble"):
            self.until_serving(3)
        self.reached(f"one ensemble, led by {zk.leader().instance_id}")
        with self.ledger:
            self.begin("A client writes from here on, and remembers every acknowledged write")
            self.ledger.wait_writing()
            self.narrator.reached(f"{self.ledger.acknowledged} writes acknowledged so far")
            self.kill_the_leader(zk)
            self.terminate_one(zk)
            self.scale(zk, 5)
            self.scale(zk, 3)
            self.cut_the_power_of_two(zk)
            self.begin("Every acknowledged write is read back")
        whole = self.account(self.report)
        if keep:
            self.look_around(zk)
        return whole

    @property
    def report(self) -> Report:
        assert self.ledger.report is not None
        return self.ledger.report

    # The chapters

    def introduce(self) -> None:
        self.narrator.plain(
            "A region of AWS on this machine: real ZooKeeper, real zkboot; the hardware and the AWS API are emulated. "
            "“What zkboot says” is quoted from the machines' logs, with instance ids shortened."
        )
        production = {**Zookeeper()._asdict(), **Timing()._asdict()}
        lab = {key: value for table in FASTER.values() for key, value in table.items()}
        faster = [text.format(f"{lab[key]:g}", f"{production[key]:g}") for key, text in WHAT_IS_FASTER.items() if key in lab]
        self.narrator.plain(f"Faster here than in production (in brackets): {'; '.join(faster)}. Machines boot at once.", "dim")

    def kill_the_leader(self, zk: Group) -> None:
        self.begin("The leader is killed")
        leader = zk.leader()
        with self.event("the leader is killed"):
            leader.kill_server()
            self.narrator.does(f"KILL to the server of {leader.instance_id}, which leads")
            self.until_serving(3)
        self.reached(f"{zk.leader().instance_id} leads now, and {leader.instance_id} serves again")

    def terminate_one(self, zk: Group) -> None:
        self.begin("An instance is terminated, and the group launches another")
        lost = zk.followers()[0]
        dead = next(member.id for member in zk.members() if member.address == lost.address)
        with self.event("an instance is terminated and replaced"):
            self.region.terminate(lost)
            self.narrator.does(f"{lost.instance_id} is terminated, behind the group's back; its disk is gone with it")
            self.until_serving(3)
        self.reached(f"server {dead} is out of the ensemble, and another in its place: {self.members(zk)}")

    def scale(self, zk: Group, size: int) -> None:
        before = len(zk.living)
        self.begin(f"The group goes from {before} to {size}")
        with self.event(f"the group goes from {before} to {size}"):
            zk.scale(size)
            self.narrator.does(f"desired capacity: {size}")
            self.until_serving(size)
        self.reached(f"{size} voters: {self.members(zk)}")

    def cut_the_power_of_two(self, zk: Group) -> None:
        self.begin("Two members lose power together, and come back with their disks")
        victims = [zk.leader(), zk.followers()[0]]
        (left,) = [machine for machine in zk.living if machine not in victims]
        with self.event("2 of 3 lose power and return"):
            self.at_once(victims, Machine.power_cut)
            self.narrator.does(f"no power at {victims[0].instance_id} and {victims[1].instance_id}")
            self.until(lambda: left.answer() is None, f"{left.instance_id} alone serves nobody")
            self.narrator.happens(left.instance_id, "is alone and, rightly, serves nobody", quoted=False)
            self.narrator.does(f"the power is back at {victims[0].instance_id} and {victims[1].instance_id}")
            self.at_once(victims, Machine.power_on)
            self.until_serving(3)
        self.reached(f"the same three, with their data: {self.members(zk)}")

    def account(self, report: Report) -> bool:
        """The table, and whether nothing is missing."""
        missing = set(report.lost)
        if not missing:
            self.narrator.reached(f"{report.acknowledged} of {report.acknowledged} acknowledged writes are there")
        gaps = {event.name: event.longest_gap for event in report.events}
        numbers = [int(line) for line in (self.region.path / "ledger").read_text().split()]
        ends = [later.first for later in self.healed[1:]] + [len(numbers)]
        rows = []
        for row, end in zip(self.healed, ends, strict=True):
            lost = len(missing.intersection(numbers[row.first : end]))
            gap = f"{gaps[row.name]:.1f} s" if row.first else "-"
            rows.append((row.name, f"{row.seconds:.1f} s", gap, str(lost) if row.first else "-"))
        self.narrator.table(
            "What happened, and how long it was felt",
            ("event", "time to heal", "longest write gap", "writes lost"),
            rows,
            (
                f"{report.acknowledged} writes, {self.narrator.seconds:.0f} s in all",
                "",
                f"{report.longest_gap:.1f} s",
                f"{len(missing)}",
            ),
        )
        if missing:
            self.narrator.failed(f"acknowledged, and not there: writes {sorted(missing)[:20]}\n{self.region.last_words()}")
        return not missing

    def look_around(self, zk: Group) -> None:
        """Watch on, until Ctrl-C."""
        name = zk.living[0].instance_id[:SHORT]
        python = shlex.quote(sys.executable.removeprefix(f"{CHECKOUT}/"))
        lab = f"{python} -m tests.lab --region {self.region.path.name}"
        hosts = ",".join(zk.hosts)
        client = f"from kazoo.client import KazooClient; c = KazooClient('{hosts}'); c.start(); print(c.get_children('/'))"
        self.narrator.plain("\nThe region runs on. In another terminal:", "bold")
        for command, what in (
            (f"cd {shlex.quote(str(CHECKOUT))}", ""),
            (lab, "the machines"),
            (f"{lab} zkboot {name} status", "the ensemble, as that machine sees it"),
            (f"{lab} zkboot {name} plan", "what its next turn would do, and why"),
            (f"{lab} logs {name}", "what it has said"),
            (f"{lab} terminate {name}", "see it replaced, here"),
            (f"{lab} scale 5", "see the ensemble grow, here"),
            (f'{python} -c "{client}"', "a client"),
        ):
            self.narrator.command(command, what)
        self.narrator.plain(f"A connect string: {hosts}")
        self.narrator.plain("Ctrl-C here stops everything that this demo started.\n", "bold")
        try:
            while True:
                self.look()
                threading.Event().wait(LOOK_EVERY)
        except KeyboardInterrupt:
            return

    # What the chapters are made of

    def begin(self, title: str) -> None:
        if self.chapter:
            self.look()
        self.chapter += 1
        self.witness.forget()
        self.narrator.chapter(self.chapter, title)
        self.began = self.narrator.seconds

    @contextmanager
    def event(self, name: str) -> Iterator[None]:
        first = self.ledger.acknowledged
        with self.ledger.event(name):
            yield
            if first:
                self.ledger.wait_writing()
        self.healed.append(Healed(name, self.narrator.seconds - self.began, first))

    def until_serving(self, size: int) -> None:
        """`size` machines serve as voters under one leader, nobody else is in the configuration, and the group counts them."""
        zk = self.zk

        def healed() -> bool:
            return zk.in_service(size) and zk.serving(size) and len(zk.voters()) == size

        self.until(healed, f"{size} machines serve as voters, and the group has them in service")

    def until(self, condition: Callable[[], object], what: str) -> None:
        def looked() -> object:
            self.look()
            return condition()

        self.region.wait_until(looked, what, DEADLINE)
        self.look()

    def look(self) -> None:
        for who, text, quoted in self.witness.news():
            self.narrator.happens(who, text, quoted)
        states = " · ".join(f"{instance} {mode or '–'}" for instance, mode in self.zk.modes().items())
        self.narrator.moves(f"{states}   {self.ledger.acknowledged} writes")

    def reached(self, text: str) -> None:
        self.narrator.reached(f"after {self.healed[-1].seconds:.1f} s: {text}")

    def members(self, zk: Group) -> str:
        named = {machine.address: machine.instance_id for machine in zk.living}
        return ", ".join(f"{member.id} ({named.get(member.address, member.address)})" for member in zk.members())

    @staticmethod
    def at_once(machines: list[Machine], what: Callable[[Machine], None]) -> None:
        threads = [threading.Thread(target=what, args=(machine,)) for machine in machines]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
