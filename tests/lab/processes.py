"""Processes found in /proc: a machine's are the descendants of its init and whatever carries its mark in the environment."""

import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

MARK = "ZKBOOT_LAB_MACHINE"  # its value is the machine's root folder
CUT_DEADLINE = 60.0  # seconds until a process that survives KILL is an error (it hangs in the kernel)


def alive(pid: int) -> bool:
    """Whether the process runs or could: a zombie does not."""
    return stat(pid)[0] not in ("Z", "X", "")


def stat(pid: int | str) -> tuple[str, int]:
    """State letter and parent of a process, or of a thread `PID/task/TID`, as proc(5) says; ("", 0) when there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            state, parent = file.read().rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return "", 0
    return state, int(parent)


def command_line(pid: int) -> list[str]:
    """Its arguments, the program first; [""] when it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            return file.read().rstrip("\0").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return [""]


def variable(pid: int, name: str) -> str:
    """A variable of the environment a process was started with; "" when it has none, is gone, or is another user's."""
    try:
        with open(f"/proc/{pid}/environ", encoding="utf-8", errors="replace") as file:
            entries = file.read().split("\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
    return next((entry.partition("=")[2] for entry in entries if entry.startswith(name + "=")), "")


def of_machine(init: int, root: str) -> set[int]:
    """Every living process of a machine but its init."""
    parents = {pid: stat(pid) for pid in every()}
    found = {pid for pid in parents if variable(pid, MARK) == root}
    newest = found | {init}
    while newest:
        newest = {pid for pid, (_, parent) in parents.items() if parent in newest} - found - {init}
        found |= newest
    return {pid for pid in found - {init, os.getpid()} if parents[pid][0] not in ("Z", "X", "")}


def send(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def freeze(pids: Iterable[int]) -> None:
    """STOP them, and return when none of their threads runs any more."""
    frozen = list(pids)
    send(frozen, signal.SIGSTOP)
    deadline = time.monotonic() + CUT_DEADLINE
    while left := moving(frozen):
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {left} do not stop")
        time.sleep(0.005)


def moving(pids: Iterable[int]) -> list[int]:
    """Those of which a thread runs, or could."""
    return [pid for pid in pids if any(state not in "TZX" for state in _threads(pid))]


def _threads(pid: int) -> list[str]:
    try:
        return [stat(f"{pid}/task/{thread}")[0] for thread in os.listdir(f"/proc/{pid}/task")]
    except (FileNotFoundError, ProcessLookupError):
        return []


def cut(init: int, root: str) -> None:
    """A power cut: stop the init, so that it sees nothing of what follows, then kill all of its machine, itself last."""
    send([init], signal.SIGSTOP)
    kill_all(init, root)
    send([init], signal.SIGKILL)


def kill_all(init: int, root: str) -> None:
    deadline = time.monotonic() + CUT_DEADLINE
    while left := of_machine(init, root):
        send(left, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {sorted(left)} of {root} survive KILL")
        time.sleep(0.005)


def every() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def pid_of(file: Path) -> int:
    """The process id that a pid file begins with; 0 when there is no such file, or it is not whole yet."""
    try:
        return int(file.read_text().split()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return 0
