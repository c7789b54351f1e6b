"""What `python -m tests.lab` in another terminal can ask of a living region."""

from collections.abc import Callable, Mapping
from typing import Any

from tests.lab.errors import LabError
from tests.lab.machines import Machine
from tests.lab.region import Region


def obey(region: Region, command: str, arguments: Mapping[str, Any]) -> Any:
    """Carry out one command; what comes back is JSON. Raises LabError with a sentence."""
    if command == "machines":
        return [describe(region, machine) for machine in list(region.machines.values())]
    if command == "scale":
        return scale(region, arguments["group"], int(arguments["size"]))
    if command in ON_MACHINE:
        machine = region.machine(arguments["machine"])
        ON_MACHINE[command](region, machine)
        return describe(region, machine)
    raise LabError(f"the lab knows no command {command!r}: machines, scale, {', '.join(ON_MACHINE)}")


def describe(region: Region, machine: Machine) -> dict[str, Any]:
    answer = machine.answer()
    return {
        "instance": machine.instance_id,
        "address": machine.address,
        "zone": machine.zone,
        "ec2": region.ec2_state(machine),
        "group": region.lifecycle(machine),
        "power": "on" if machine.on else "off",
        "server": answer.mode if answer else "-",
        "root": str(machine.root),
    }


def scale(region: Region, name: str, size: int) -> dict[str, Any]:
    group = next((group for group in region.groups.values() if name in ("", group.plan.name)), None)
    if group is None:
        raise LabError(f"no group {name!r}: there is {', '.join(group.plan.name for group in region.groups.values())}")
    group.scale(size)
    return {"group": group.plan.name, "desired": size}


ON_MACHINE: dict[str, Callable[[Region, Machine], None]] = {
    "terminate": lambda region, machine: region.terminate(machine),
    "take": lambda region, machine: region.take(machine),
    "kill": lambda region, machine: machine.kill_server(),
    "freeze": lambda region, machine: machine.freeze_server(),
    "thaw": lambda region, machine: machine.thaw_server(),
    "power-cut": lambda region, machine: machine.power_cut(),
    "power-on": lambda region, machine: machine.power_on(),
    "reboot": lambda region, machine: machine.reboot(),
    "wipe-disk": lambda region, machine: machine.wipe_disk(),
}
