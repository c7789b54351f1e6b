"""A shell in an instance of a lab that runs in another terminal."""

import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

from tests.lab import processes
from tests.lab.errors import LabError
from tests.lab.full.apply import STACK, TYPED
from tests.lab.full.hypervisor import init_of
from tests.lab.full.machine import NAMESPACES, PATH
from tests.lab.full.owners import owners
from tests.lab.region import LAB


def enter_region(arguments: list[str]) -> int:
    """Becomes the process lab's command line, in the network of the lab that runs. Raises LabError when none does, or several."""
    pid, folder = the_lab()
    enter = ["nsenter", "--target", str(pid), "--net", "--", sys.executable, "-m", "tests.lab", "--region", folder.name]
    os.execvp("nsenter", [*enter, *arguments])


def enter_typed(command: list[str]) -> int:
    """Becomes that command (terraform, aws, zkboot), where the stack of the lab that runs was applied. Raises LabError as above,
    or when there is none."""
    pid, folder = the_lab()
    file = folder / STACK / TYPED
    if not file.exists():
        raise LabError("the lab that runs has no stack of Terraform's: it has said why")
    typed = json.loads(file.read_text())
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    enter = ["nsenter", "--target", str(pid), "--net", f"--wdns={typed['folder']}", "--", *(command or ["bash"])]
    os.execvpe("nsenter", enter, {**os.environ, **typed["environment"], "PATH": path})


def the_lab() -> tuple[int, Path]:
    """The one that runs: its process and its folder."""
    labs = owners()
    if len(labs) != 1:
        names = ", ".join(folder.name for folder in labs.values())
        raise LabError(f"several labs run: {names}" if labs else "no lab runs here: start one with make lab KEEP=1")
    (found,) = labs.items()
    return found


class Running(NamedTuple):
    instance: str
    hostname: str
    init: int  # its PID 1, as it is called out here


def instances() -> list[Running]:
    """Those of `make lab` that are on, or without one those of tests, in the order in which they were launched."""
    found = []
    folders = owners().values() or LAB.glob("10.77-*")
    files = [file for folder in folders for file in folder.glob("i-*/instance.json")]
    for file in sorted(files, key=lambda file: file.stat().st_mtime):
        nspawn = processes.pid_of(file.parent / "nspawn.pid")
        if nspawn and processes.alive(nspawn) and (init := init_of(nspawn)):
            found.append(Running(file.parent.name, json.loads(file.read_text())["hostname"], init))
    return found


def line(number: int, instance: Running) -> str:
    return f"{number}  {instance.instance}  {instance.hostname}"


def enter(found: list[Running], wanted: str) -> int:
    """Becomes the shell. Raises LabError where `wanted` names no instance, or several."""
    by_number = found[int(wanted) - 1 : int(wanted)] if wanted.isdecimal() and int(wanted) else []
    chosen = by_number or [instance for instance in found if instance.instance.startswith(wanted)]
    if len(chosen) != 1:
        here = "\n".join(line(number, instance) for number, instance in enumerate(found, 1))
        raise LabError(f"{wanted}: {'several instances begin so' if chosen else 'no such instance'}; there are\n{here}")
    clean = ["env", "--chdir=/root", "-i", f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8", f"TERM={os.environ.get('TERM', 'dumb')}"]
    os.execvp("nsenter", ["nsenter", "--target", str(chosen[0].init), *NAMESPACES, "--", *clean, "bash", "--login"])
