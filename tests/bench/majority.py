"""Two of three members are terminated: until writes are acknowledged again, and where that time goes.

The group replaces both at once, as it always does, and the newcomers start beside the seed (by hand the survivor starts alone).
Writes are acknowledged as soon as the seed leads, before its proof. The terminated members' connections end with them: detection
holds no timeout of a peer that has fallen silent, which comes first where a host burns.
"""

import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from tests.bench import hand
from tests.bench.figures import Figure, Step
from tests.lab import ensemble
from tests.lab.errors import LabError
from tests.lab.group import Group
from tests.lab.ledger import Ledger, Report
from tests.lab.machines import Machine
from tests.lab.region import Region
from tests.scenarios.story import record
from zkboot.words import TOO_FEW
from zkboot.zookeeper.membership import IDENTITY_NODE


class Parts(NamedTuple):
    """Seconds, one after the other."""

    detection: float
    grace: float
    reseed: float
    leads: float
    proof: float
    join: float

    @property
    def start(self) -> float:
        return self.leads + self.proof


def majority(samples: int, step: Step) -> Iterator[Figure]:
    by_hand, ours = [], []
    with hand.servers(1, 2, 3) as three, Region() as region:
        zk = region.group(size=3)
        zk.wait_serving(3)
        with Ledger(zk) as ledger:
            for number in range(samples):
                step("a raw survivor is started alone")
                by_hand.append(start_alone_by_hand(three))
                step("two of three are terminated")
                ours.append(lose_two(zk, ledger, str(number)))
                zk.wait_serving(3)
    yield Figure("majority terminated to the next acknowledged write", "s", gaps(ledger.report))
    raw, against = tuple(by_hand), "a raw start of the survivor, files rewritten"
    for name, what, denominator in (
        ("detection", "detection: until too few voters are noted", ()),
        ("grace", "grace and reports: until the record names the seed", ()),
        ("reseed", "reseed: until the seed's server is started", ()),
        ("start", "start: until it leads, proved by a write", raw),
        ("leads", "  of it until it leads", raw),
        ("join", "first join: until a second voter is in", ()),
    ):
        took = tuple(getattr(parts, name) for parts in ours)
        yield Figure(f"  {what}", "s", took, denominator, against if denominator else "")


def gaps(report: Report | None) -> tuple[float, ...]:
    assert report is not None
    if report.lost:
        raise LabError(f"{len(report.lost)} of {report.acknowledged} acknowledged writes are lost")
    return tuple(event.longest_gap for event in report.events)


def start_alone_by_hand(three: list[hand.Server]) -> float:
    hand.start_static(three)
    for server in three:
        server.kill()
    survivor = three[0]
    survivor.prepare_alone()
    began = time.monotonic()
    hand.lead_alone(survivor)
    took = time.monotonic() - began
    survivor.kill()
    return took


def lose_two(zk: Group, ledger: Ledger, name: str) -> Parts:
    """One falls silent while the others still write, so that the survivor holds each acknowledged write; then both are gone."""
    last = zk.leader()
    first, survivor = zk.followers()
    generation, server = record(zk)["generation"], survivor.server_pid
    first.power_cut()
    ledger.wait_writing()
    moments = [time.monotonic()]
    with ledger.event(name):
        zk.region.lose(last)
        zk.region.lose(first)
        for reached in (
            lambda: notes_too_few(survivor),
            lambda: record(zk)["generation"] > generation,
            lambda: survivor.server_pid not in (0, server),
            lambda: (answer := survivor.answer()) and answer.mode == "leader",
            lambda: proved(survivor, generation + 1),
            lambda: len(zk.voters()) > 1,
        ):
            hand.wait_for(reached)
            moments.append(time.monotonic())
        ledger.wait_writing()
    return Parts(*(after - before for before, after in pairwise(moments)))


def notes_too_few(machine: Machine) -> bool:
    """What its zkboot keeps from turn to turn says so."""
    notes = Path(machine.settings["node"]["state_dir"]) / "state.json"
    return any(name.startswith(TOO_FEW) for name in json.loads(notes.read_text()).get("held", {}))


def proved(machine: Machine, generation: int) -> bool:
    """The znode that its proof writes names the generation."""
    from kazoo.exceptions import KazooException
    from kazoo.handlers.threading import KazooTimeoutError

    try:
        with ensemble.client(machine.address) as client:
            return bool(json.loads(client.get(IDENTITY_NODE)[0])["generation"] == generation)
    except (KazooException, KazooTimeoutError):
        return False
