"""The program of a machine: zkboot itself, with its clock moved and its steps interrupted as the environment says.

ZKBOOT_LAB_CLOCK_OFFSET  seconds by which zkboot's wall clock is off
ZKBOOT_LAB_BOOT          this boot's id (the kernel's is the same for all machines, and survives their reboots)
ZKBOOT_LAB_JOURNAL       the socket that takes what zkboot says to the journal
ZKBOOT_LAB_STEP          `WHEN:STEP:WHAT` with before|after, the step's name, and kill|exit|pause|power: happens once.
                         Several, with commas between: each happens once, in whatever order their steps come
ZKBOOT_LAB_STEPS_SHARED  a file of several machines: each order happens to the first of them that comes to its step
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.lab.processes import stat


def main() -> int | None:
    """zkboot's own main, on this machine."""
    import zkboot.clock

    class MachineClock(zkboot.clock.NodeClock):
        def now(self) -> float:
            return super().now() + float(os.environ.get("ZKBOOT_LAB_CLOCK_OFFSET", "0"))

        def boot_id(self) -> str:
            return os.environ["ZKBOOT_LAB_BOOT"]

    zkboot.clock.NodeClock = MachineClock
    if "ZKBOOT_LAB_JOURNAL" in os.environ:
        import zkboot.figures

        zkboot.figures.JOURNAL = os.environ["ZKBOOT_LAB_JOURNAL"]
    if orders := os.environ.get("ZKBOOT_LAB_STEP"):
        interrupt(orders)
    from zkboot.__main__ import main as zkboot_main

    return zkboot_main()


def interrupt(orders: str) -> None:
    """Install the hook that carries `orders` out; a file beside the machine's settings remembers those that have been."""
    import zkboot.steps

    whats = {tuple(order.split(":")[:2]): order for order in orders.split(",")}
    done = Path(os.environ["ZKBOOT_LAB_MACHINE"]) / "step-done"
    shared = Path(os.environ.get("ZKBOOT_LAB_STEPS_SHARED") or done)

    def hook(now: str, step: str) -> None:
        order = whats.get((now, step))
        if order and not (shared.exists() and order in shared.read_text().splitlines()):
            happen(order.split(":")[2], lambda: note({done, shared}, order))

    zkboot.steps.hook = hook


def note(paths: set[Path], order: str) -> None:
    for path in paths:
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{order}\n")


def happen(what: str, note_it: Callable[[], None]) -> None:
    if what == "pause":
        pause(note_it)
        return
    note_it()
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "exit":
        os._exit(1)
    elif what == "power":
        os.kill(int(os.environ["ZKBOOT_LAB_INIT"]), signal.SIGUSR1)
        signal.pause()
    else:
        raise ValueError(f"ZKBOOT_LAB_STEP: {what!r} is none of kill, exit, pause, power")


def pause(note_it: Callable[[], None]) -> None:
    """Noted only once this process stands still: one that reads the note may let it go on at once."""
    me = os.getpid()
    child = os.fork()
    if not child:
        while stat(me)[0] not in ("T", ""):
            time.sleep(0.01)
        note_it()
        os._exit(0)
    os.kill(me, signal.SIGSTOP)
    os.waitpid(child, 0)


if __name__ == "__main__":
    sys.exit(main())
