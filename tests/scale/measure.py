"""What a turn asks for, and what it costs the node that takes it: CPU time, which a busy machine does not stretch."""

import time
from collections.abc import Callable, Iterable, Iterator
from statistics import median
from typing import Any, NamedTuple
from unittest.mock import patch

from tests.scale.world import Ensemble
from zkboot import documents
from zkboot import record as records
from zkboot.model import Action
from zkboot.policy import decide
from zkboot.reconcile import Turn, turn
from zkboot.world import World

SIZES = (3, 7, 15, 31, 63, 127, 255)
CLUSTERS = (1, 10, 100, 1000)
SAMPLES = 3


class Cost(NamedTuple):
    """Of one turn; milliseconds of CPU."""

    calls: dict[str, int]
    bytes: int  # of the objects read and written
    turn: float  # AWS's client with it, without AWS, which here is an emulator
    decide: float  # of it the policy

    @property
    def called(self) -> int:
        return sum(self.calls.values())


class Row(NamedTuple):
    members: int
    record: int  # bytes
    parse: float  # milliseconds of CPU
    healthy: Cost  # the leader's audit
    alone: Cost  # without a quorum: everybody's reports are read


def measure(of: Ensemble) -> Row:
    body = documents.record_to_json(of.record)
    parse = timed(lambda: documents.record_of_json(body, "record"))
    return Row(len(of.servers), len(body), parse, cost(of, serves=True), cost(of, serves=False))


def cost(of: Ensemble, serves: bool) -> Cost:
    """Of the turns after the first, which finds out what the next begin with: asked once, timed several times."""
    world, asked = of.world(serves)
    took_turn(of, world)
    before, bytes_before = of.node.region.calls(of.node.machine), asked.bytes
    seen = took_turn(of, world).observation
    assert seen is not None
    after, bytes_after = of.node.region.calls(of.node.machine), asked.bytes
    calls = {name: count - before.get(name, 0) for name, count in sorted(after.items()) if count > before.get(name, 0)}
    took = timed(lambda: took_turn(of, world))
    return Cost(calls, bytes_after - bytes_before, took, timed(lambda: decide(seen)))


def took_turn(of: Ensemble, world: World) -> Turn:
    with patch.object(records, "ThreadPoolExecutor", OneThread):
        found = turn(world, of.node.settings)
    assert found.decision.action in (Action.HEALTHY, Action.WAIT) and found.observation is not None, found.sentence
    return found


class OneThread:
    """What would be done at once, one after the other in the thread whose time is taken."""

    def __init__(self, workers: int) -> None:
        """As many as they may be."""

    def __enter__(self) -> "OneThread":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to wait for."""

    def map(self, what: Callable[[Any], Any], values: Iterable[Any]) -> Iterator[Any]:
        return map(what, values)


def timed(what: Callable[[], object]) -> float:
    """The median of some runs, in milliseconds of CPU."""
    samples = []
    for _ in range(SAMPLES):
        began = time.thread_time()
        what()
        samples.append((time.thread_time() - began) * 1000)
    return round(median(samples), 3)
