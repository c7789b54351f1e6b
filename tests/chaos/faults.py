"""The faults: each strikes some machines, and ends when what it returned is called."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from tests.lab.group import Group
from tests.lab.machines import Machine

End = Callable[[], None]
Strike = Callable[[Group, Sequence[Machine]], End]
AHEAD = 600.0  # seconds


def at_once(machines: Iterable[Machine], effect: Callable[[Machine], None]) -> None:
    struck = list(machines)
    with ThreadPoolExecutor(len(struck) or 1) as pool:
        list(pool.map(effect, struck))


def over() -> None:
    """What was done is done: nothing of it is to be ended."""


def running(machines: Sequence[Machine]) -> list[Machine]:
    """At some moments no server runs on a machine, and none can be hit."""
    return [machine for machine in machines if machine.server_pid]


def kill(zk: Group, struck: Sequence[Machine]) -> End:
    at_once(running(struck), Machine.kill_server)
    return over


def hang(zk: Group, struck: Sequence[Machine]) -> End:
    at_once(running(struck), Machine.freeze_server)
    return over


def cut_power(zk: Group, struck: Sequence[Machine]) -> End:
    at_once(struck, Machine.power_cut)
    return lambda: at_once(struck, Machine.power_on)


def reboot(zk: Group, struck: Sequence[Machine]) -> End:
    at_once(struck, Machine.reboot)
    return over


def terminate(zk: Group, struck: Sequence[Machine]) -> End:
    at_once(struck, zk.region.lose)
    return over


def wipe(zk: Group, struck: Sequence[Machine]) -> End:
    at_once(struck, Machine.power_cut)
    at_once(struck, Machine.wipe_disk)
    at_once(struck, Machine.power_on)
    return over


def fill_disk(zk: Group, struck: Sequence[Machine]) -> End:
    roomy = [machine for machine in struck if (machine.root / "vol").is_mount()]  # a newcomer's is no volume of its own
    at_once(roomy, Machine.fill_disk)
    return lambda: at_once(roomy, Machine.free_disk)


def cut_off(zk: Group, struck: Sequence[Machine]) -> End:
    """The struck from the others; all of them, each from each."""
    others = [machine for machine in zk.living if machine not in struck]
    sides = [(struck, others)] if others else [(struck[:i], struck[i : i + 1]) for i in range(1, len(struck))]
    cuts = ExitStack()
    for side, other in sides:
        cuts.enter_context(zk.region.partition(side, other))
    return cuts.close


def refuse_aws(zk: Group, struck: Sequence[Machine]) -> End:
    return zk.region.aws_outage(*struck).end


def throttle(zk: Group, struck: Sequence[Machine]) -> End:
    return zk.region.throttle(*struck).end


def jump_clock(zk: Group, struck: Sequence[Machine]) -> End:
    for machine in struck:
        machine.skew_clock(AHEAD)
    return lambda: set_clocks_right(zk)


def set_clocks_right(zk: Group) -> None:
    for machine in zk.living:
        machine.skew_clock(0.0)


STRIKES: dict[str, Strike] = {
    "process killed": kill,
    "hung": hang,
    "power": cut_power,
    "reboot": reboot,
    "terminated": terminate,
    "disk wiped": wipe,
    "disk full": fill_disk,
    "partitioned": cut_off,
    "AWS out": refuse_aws,
    "throttled": throttle,
    "clock jumped": jump_clock,
}
