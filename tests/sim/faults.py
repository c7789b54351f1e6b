"""What befalls a simulated group in a random schedule. `random` is the schedule's own, apart from the simulation's."""

import random
from collections.abc import Callable
from functools import partial

from tests.sim.node import Node
from tests.sim.simulation import Simulation
from zkboot import adoptions, commands, documents
from zkboot.reconcile import silence

NEWER = documents.SCHEMA + 1  # what the older of two versions does not understand


class Faults:
    """The faults of one schedule."""

    def __init__(self, sim: Simulation, seed: int) -> None:
        self.sim, self.seed = sim, seed
        self.random = random.Random(f"chaos {seed}")
        self.two_versions = self.late_disks = False

    @property
    def kinds(self) -> dict[Callable[[], object], int]:
        """Each with its weight."""
        return {
            self.power_cut: 6,
            self.stop: 2,
            self.wipe: 3,
            self.unmount: 1,
            self.terminate: 4,
            self.part: 2,
            self.aws_away: 2,
            self.resize: 4,
            self.damage: 1,
            self.swap: 2,
            self.person: 2,
            self.lag: 2,
            self.jump: 1,
            self.upgrade: 3 if self.two_versions else 0,
        }

    def strike(self, few: bool) -> None:
        """One fault; of `few` kinds only what takes a quorum away."""
        if few:
            self.random.choice((self.power_cut, self.power_cut, self.swap, self.wipe))()
        else:
            self.random.choices(list(self.kinds), list(self.kinds.values()))[0]()

    def some(self) -> list[Node]:
        nodes = self.sim.living()
        most = self.random.choice((max(1, (len(nodes) - 1) // 2), len(nodes)))
        return self.random.sample(nodes, self.random.randint(1, most)) if nodes else []

    def for_a_while(self, end: Callable[[], None]) -> None:
        self.sim.after(self.random.choice((1.0, 8.0, 30.0)), end)

    def mixed(self, node: Node) -> None:
        """A new instance whose zkboot may be of another version, and whose disk may be late."""
        draw = self.sim.random.random()
        if draw < 0.5:
            self.newer(node)
        if self.late_disks and draw * 2 % 1 < 0.3:
            node.tell("its data volume is not mounted yet")
            node.files.mounted = False
            self.sim.after(2.0 + 20 * draw, partial(setattr, node.files, "mounted", True))

    def upgrade(self) -> None:
        """Some nodes get the newer zkboot."""
        for node in self.some():
            self.newer(node)

    def newer(self, node: Node) -> None:
        """In a schedule of two versions, that node's zkboot is the newer one from now on."""
        if self.two_versions and node.schema != NEWER:
            node.schema = NEWER
            node.tell("its zkboot is the newer one from now on")

    def power_cut(self) -> list[Node]:
        nodes = self.some()
        for node in nodes:
            node.tell("power cut")
            self.sim.power_off(node)
            self.for_a_while(partial(self.sim.boot, node))
        return nodes

    def stop(self) -> None:
        for node in self.some():
            node.tell("its server is killed")
            self.sim.ensemble.end(node.address, silent=False)

    def wipe(self) -> None:
        for node in self.power_cut():
            if self.random.random() < 0.6:
                node.tell("its data volume is wiped")
                node.files.new_volume()

    def swap(self) -> None:
        """A wrong, empty volume is attached for a while."""
        for node in self.power_cut():
            node.tell("an empty volume is attached in place of its own")
            held = node.files.take_out()
            self.sim.after(self.random.choice((8.0, 30.0, 45.0)), partial(self.swap_back, node, held))

    def swap_back(self, node: Node, held: dict[str, object]) -> None:
        if node.gone:
            return
        self.sim.power_off(node)
        back = node.files.put_back(held)
        node.tell("its own volume is attached again" if back else "the new volume stays")
        self.sim.after(1.0, partial(self.sim.boot, node))

    def damage(self) -> None:
        for node in self.power_cut():
            if self.random.random() < 0.6 and node.files.log is not None:
                node.tell("its data is damaged")
                node.files.damaged = True

    def unmount(self) -> None:
        for node in self.power_cut():
            node.tell("its data volume is not mounted")
            node.files.mounted = False
            self.for_a_while(partial(setattr, node.files, "mounted", True))

    def terminate(self) -> None:
        for node in self.some():
            self.sim.fleet.terminate(node.machine)

    def part(self) -> None:
        nodes = self.some()
        self.sim.tell(f"--- cut off from the others: {', '.join(n.id for n in nodes)}")
        self.sim.islands = {n.address: 1 for n in nodes}
        self.for_a_while(self.sim.islands.clear)

    def aws_away(self) -> None:
        for node in self.some():
            node.tell("AWS does not answer")
            node.aws = False
            self.for_a_while(partial(setattr, node, "aws", True))

    def resize(self) -> None:
        self.scale(self.random.choice((1, 2, 3, 4, 5, 7, 0)))

    def scale(self, desired: int) -> None:
        self.sim.tell(f"--- desired capacity {desired}")
        self.sim.fleet.desired = desired

    def lag(self) -> None:
        """EC2 answers from a replica that is behind, within what EC2 is eventually consistent."""
        self.sim.tell("--- EC2's answers are of a while ago")
        seconds = {node.id: self.random.choice((0.0, 4.0, 12.0)) for node in self.sim.living()}
        self.sim.fleet.lag = lambda me: seconds.get(me, 0.0)
        self.for_a_while(self.timely)

    def timely(self) -> None:
        self.sim.fleet.lag = lambda me: 0.0

    def jump(self) -> None:
        """A node's clock is set to another time."""
        for node in self.some():
            node.skew = self.random.choice((-86_400.0, -30.0, 30.0, 86_400.0))
            node.tell(f"its clock jumps by {node.skew:.0f} s")

    def person(self) -> None:
        """A person types a command on some node, whatever the moment."""
        nodes = [n for n in self.sim.living() if n.up]
        if not nodes:
            return
        node, live = self.random.choice(nodes), self.random.choice((False, True))
        command = self.random.choice(("reseed", "reseed", "create", "abort", "adopt", "restore"))
        if command == "abort":
            self.sim.command(node, "abort", lambda: commands.abort(node.world, self.sim.settings))
            return
        if command == "adopt":
            through = self.random.choice(nodes).address
            typed = partial(adoptions.adopt_live, node.world, self.sim.settings, silence, through)
            self.sim.command(node, f"adopt --through {through}", typed)
            return
        backups, source = self.sim.backups.made, ""
        if command == "restore":
            if not backups:
                return
            source = self.sim.settings.backup.prefix + self.random.choice(backups).about.name
        self.sim.command(
            node,
            f"{command}{f' {source}' if source else ''}{' --replace-live' if live else ''}",
            lambda: commands.replace(node.world, self.sim.settings, silence, command, live, source),
        )
        if self.random.random() < 0.3:
            self.for_a_while(partial(self.sim.interrupt, node))
