"""One fault at every point of a plain story: each is played once per point, and must end as well as without the fault."""

from collections.abc import Callable, Iterator

from tests.sim.engine import Killed
from tests.sim.node import Node
from tests.sim.simulation import Simulation, Violation
from tests.sim.stories import STORIES

Fault = Callable[[Simulation, Node], None]


def kill(sim: Simulation, node: Node) -> None:
    raise Killed


def power_cut(sim: Simulation, node: Node) -> None:
    sim.power_off(node)
    sim.after(3.0, lambda: sim.boot(node))
    raise Killed


def terminate(sim: Simulation, node: Node) -> None:
    sim.fleet.terminate(node.machine)
    raise Killed


def wipe(sim: Simulation, node: Node) -> None:
    node.files.new_volume()
    power_cut(sim, node)


def wait(sim: Simulation, node: Node) -> None:
    sim.hold(node, 30.0)


FAULTS: dict[str, Fault] = {"kill": kill, "power cut": power_cut, "terminate": terminate, "wipe": wipe, "wait": wait}


class Result:
    """One story with one fault at one point."""

    def __init__(self, name: str, fault: str, number: int) -> None:
        self.name, self.fault, self.number = name, fault, number
        self.point = ""
        self.violation = ""
        self.story: list[str] = []


def play(name: str, fault: str, number: int, seed: int = 1) -> Result:
    """The story with that fault at its number-th point. `point` stays "" when the story has fewer."""
    result = Result(name, fault, number)
    sim = Simulation(seed)
    count = 0

    def script(node: Node, point: str) -> None:
        nonlocal count
        count += 1
        if count == number:
            result.point = f"{point} of {node.id}"
            node.tell(f"--- {fault} at: {point}")
            FAULTS[fault](sim, node)

    sim.script = script
    try:
        STORIES[name](sim)
    except Violation as e:
        result.violation = str(e)
    finally:
        result.story = sim.story
        sim.close()
    return result


def sweep(name: str, fault: str, stride: int = 1, first: int = 1) -> Iterator[Result]:
    number = first
    while True:
        result = play(name, fault, number)
        if not result.point:
            return
        yield result
        number += stride
