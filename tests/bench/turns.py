"""What a turn costs: the light one of each minute against an interpreter that does nothing, and the whole one of an audit."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.bench.figures import Figure, Step
from tests.lab.errors import LabError
from tests.lab.machines import Machine
from tests.lab.region import Region

CHILD = Path(__file__).with_name("child.py")
NEVER = 3600  # seconds from one recover to the next: no turn but the measured ones
AGAINST = "python3 -c pass"


class Used(NamedTuple):
    """Milliseconds, milliseconds, MiB."""

    wall: float
    cpu: float
    memory: float


def turn(samples: int, step: Step) -> Iterator[Figure]:
    nothing, light, whole = [], [], []
    with Region() as region:
        zk = region.group(size=3, settings={"timing": {"recover_interval": NEVER}})
        zk.wait_serving(3)
        zk.wait_until(lambda: all(machine.said("recovery every") for machine in zk.living), "each machine has its timers")
        follower, leader = zk.followers()[0], zk.leader()
        zk.wait_until(lambda: not any(machine.zkboot_pids() for machine in zk.living), "no zkboot runs")
        zk.wait_until(lambda: turns_light(region, follower), "its turns are light: a full one has seen the ensemble as it is")
        before = region.calls(follower)
        for _ in range(4 * samples):
            step("a light turn")
            nothing.append(use(follower, "-c", "pass"))
            light.append(use(follower, "-m", "zkboot", "recover"))
        light_calls = more(before, region.calls(follower))
        before = region.calls(leader)
        for _ in range(samples):
            step("a whole turn, all healthy")
            whole.append(use(leader, "-m", "zkboot", "bootstrap"))
        whole_calls = more(before, region.calls(leader))
    for what, used in (("light", light), ("whole", whole)):
        for name, unit, field in (("CPU", "ms", "cpu"), ("wall time", "ms", "wall"), ("peak memory", "MiB", "memory")):
            ours, empty = (tuple(getattr(one, field) for one in some) for some in (used, nothing))
            yield Figure(f"{name} of a {what} turn", unit, ours, empty, AGAINST)
    yield Figure("AWS calls of a light turn", "calls", (light_calls / len(light),))
    yield Figure("AWS calls of a whole healthy turn", "calls", (whole_calls / len(whole),))


def turns_light(region: Region, machine: Machine) -> bool:
    """Whether a turn, taken now, makes no AWS call."""
    before = region.calls(machine)
    use(machine, "-m", "zkboot", "recover")
    return not more(before, region.calls(machine))


def use(machine: Machine, *arguments: str) -> Used:
    """What this interpreter uses for that, on that machine."""
    command = [sys.executable, "-I", "-S", str(CHILD), sys.executable, *arguments]
    done = subprocess.run(command, env=machine.typed_environment(), cwd=machine.root, capture_output=True, text=True, check=True)
    code, wall, cpu, memory = done.stdout.split()
    if code != "0":
        raise LabError(f"python {' '.join(arguments)} on {machine} ended with {code}\n{machine.last_words()}")
    return Used(float(wall) * 1000, float(cpu) * 1000, int(memory) / 1024)


def more(before: dict[str, int], after: dict[str, int]) -> int:
    return sum(after.values()) - sum(before.values())
