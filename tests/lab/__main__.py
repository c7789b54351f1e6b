"""`python -m tests.lab`: look around a region that runs in another terminal."""

import argparse
import json
import shlex
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.lab import processes
from tests.lab.errors import LabError

LAB = Path(__file__).resolve().parents[2] / ".lab"
ACTIONS = ("terminate", "take", "kill", "freeze", "thaw", "power-cut", "power-on", "reboot", "wipe-disk")
HELP = """
machines              the machines and how they are (also without a command)
scale N               set the group's desired capacity (--group NAME where there are several)
logs I                what machine I said (I is an instance id or the beginning of one)
zkboot I ARGUMENTS    type `zkboot ARGUMENTS` on machine I
env I                 the environment of machine I, for a shell: eval "$(python -m tests.lab env I)"
terminate I           EC2 TerminateInstances, behind the group's back
take I                TerminateInstanceInAutoScalingGroup: the termination hook is waited for
kill I                KILL to its ZooKeeper server; freeze I, thaw I: STOP and CONT
power-cut I           all its processes at once; power-on I; reboot I
wipe-disk I           its data volume, empty
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab", description=__doc__, epilog=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--region", default="", help="which one of several running regions (127.77)")
    parser.add_argument("--group", default="", help="for scale")
    parser.add_argument("command", nargs="?", default="machines")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    try:
        return run(options.command, options.arguments, state_of(options.region), options.group)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1


def run(command: str, arguments: list[str], state: dict[str, Any], group: str) -> int:
    if command == "scale" and arguments:
        print(ask(state, "scale", {"group": group, "size": arguments[0]}))
    elif command in ACTIONS and arguments:
        show([ask(state, command, {"machine": arguments[0]})])
    elif command == "machines":
        show(ask(state, "machines", {}))
    elif command in ("logs", "zkboot", "env") and arguments:
        return on_machine(command, find(state, arguments[0]), arguments[1:])
    else:
        raise LabError(f"{command}: not a command, or its machine or number is missing; python -m tests.lab --help lists them")
    return 0


def on_machine(command: str, machine: dict[str, Any], arguments: list[str]) -> int:
    root = Path(machine["root"])
    if command == "logs":
        for name in ("cloud-init-output.log", "recover.log", "machine.log"):
            if (root / name).exists():
                print(f"== {name}\n{(root / name).read_text(errors='replace')}", end="")
        return 0
    if machine["power"] == "off":
        raise LabError(f"{machine['instance']} is off")
    if not (root / "machine.json").exists():
        raise LabError(f"{machine['instance']} is a whole machine: make lab-shell I={machine['instance']}, and type it there")
    spec = json.loads((root / "machine.json").read_text())
    added = [json.loads((root / name).read_text()) for name in ("environment.json", "boot.json")]
    environment = {**spec["environment"], **added[0], **added[1]}
    if command == "env":
        print("\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment.items()))
        return 0
    return subprocess.run([*spec["command"], *arguments], cwd=root, env=environment, check=False).returncode


def state_of(wanted: str) -> dict[str, Any]:
    """The state file of the living region, or of the one asked for."""
    states = list(read_states())
    # A region in a network of its own is asked for by name, from within.
    asked = [wanted] if wanted else [state["name"] for state in states if state["name"].startswith("127.")]
    living = [state for state in states if processes.alive(state["pid"]) and state["name"] in asked]
    if len(living) != 1:
        names = ", ".join(state["name"] for state in living)
        raise LabError(
            f"several regions run, say --region: {names}" if living else "no region runs here: start one with `make demo KEEP=1`"
        )
    return living[0]


def read_states() -> Iterator[dict[str, Any]]:
    """The state of each region, with its name; one may end at any moment."""
    for path in sorted(LAB.glob("1*/region.json")):
        with suppress(FileNotFoundError):
            yield json.loads(path.read_text()) | {"name": path.parent.name}


def ask(state: dict[str, Any], command: str, arguments: dict[str, Any]) -> Any:
    request = urllib.request.Request(f"{state['endpoint']}/_lab/{command}", json.dumps(arguments).encode(), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise LabError(error.read().decode()) from None


def find(state: dict[str, Any], instance: str) -> dict[str, Any]:
    found = [machine for machine in ask(state, "machines", {}) if machine["instance"].startswith(instance)]
    if len(found) != 1:
        raise LabError(f"{instance}: {'several machines begin so' if found else 'no such machine'}")
    return dict(found[0])


def show(machines: list[dict[str, Any]]) -> None:
    columns = ("instance", "address", "zone", "ec2", "group", "power", "server")
    widths = {name: max(len(name), *(len(machine[name]) for machine in machines)) if machines else len(name) for name in columns}
    print("  ".join(name.ljust(widths[name]) for name in columns).rstrip())
    for machine in machines:
        print("  ".join(machine[name].ljust(widths[name]) for name in columns).rstrip())


if __name__ == "__main__":
    sys.exit(main())
