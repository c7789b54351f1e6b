"""A machine's init: `python -m tests.lab.machine ROOT`, from power-on to power-off.

First boot: what cloud-init runs, the user data's `runcmd`. Then, and at once at every later boot, `recover`, again at
each tick, and at once when the server ends although it is wanted; and `backup --scheduled`, as often as the image's timer.
All processes of the machine descend from this one.
Its standard input is the region's: when that closes, the region is gone, and so is the power.
TERM is an orderly shutdown, USR1 a power cut.
"""

import ctypes
import json
import os
import select
import signal
import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

from tests.lab import processes

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
STOP_SECONDS = 20.0  # an orderly shutdown gives processes this long after TERM
LOOK_EVERY = 0.1  # seconds; an end of a process is noticed at once, by SIGCHLD


class Init:
    """One boot of one machine. `machine.json` in its root says what it runs, `environment.json` what the lab adds."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.spec = json.loads((root / "machine.json").read_text())
        self.boot_id = str(uuid.uuid4())
        self.script = ""  # of the first boot, while it is still to run
        self.running: dict[int, str] = {}  # pid -> what it is
        self.next_recover = 0.0  # monotonic
        self.next_backup = time.monotonic() + self.spec["first_backup"]
        self.server = 0
        self.stopping = False

    def run(self) -> None:
        self.say(f"power on, boot {self.boot_id}")
        if not (self.root / "booted").exists():
            self.script = self.spec["first_boot"]
        (self.root / "booted").touch()
        wake = self.listen()
        while not self.stopping:
            self.watch_server()
            self.start_what_is_due()
            ready, _, _ = select.select([0, wake], [], [], LOOK_EVERY)
            if 0 in ready and not os.read(0, 1):
                self.say("the region is gone")
                self.cut()
            if wake in ready:
                os.read(wake, 512)
            self.reap()
        self.shut_down()

    def listen(self) -> int:
        """Signals wake the loop through a pipe (so that nothing is blocked in what this process starts)."""
        wake, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGUSR1, lambda *_: self.cut())
        return wake

    def stop(self, *_: object) -> None:
        self.stopping = True

    def cut(self) -> None:
        self.say("power cut")
        processes.kill_all(os.getpid(), str(self.root))
        os._exit(0)

    def start_what_is_due(self) -> None:
        at_work = set(self.running.values())
        if "script" in at_work:
            return
        if self.script:
            self.start(["/bin/sh", "-c", self.script], "script", "cloud-init-output.log")
            self.script = ""
        elif "recover" not in at_work and time.monotonic() >= self.next_recover:
            self.next_recover = time.monotonic() + self.spec["recover_interval"]
            self.start([*self.spec["command"], "recover", "--quiet"], "recover", "recover.log")
        elif "backup" not in at_work and time.monotonic() >= self.next_backup:
            self.next_backup = time.monotonic() + self.spec["backup_interval"]
            self.start([*self.spec["command"], "backup", "--scheduled"], "backup", "backup.log")

    def start(self, command: list[str], what: str, log: str) -> None:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(self.root / log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        pid = os.posix_spawn(command[0], command, self.environment(), file_actions=actions, setsid=True)
        self.running[pid] = what

    def environment(self) -> dict[str, str]:
        own = {"ZKBOOT_LAB_BOOT": self.boot_id, "ZKBOOT_LAB_INIT": str(os.getpid())}
        part = self.root / "boot.json.part"  # whoever types on this machine reads it at any moment
        part.write_text(json.dumps(own))
        part.rename(self.root / "boot.json")
        return {**self.spec["environment"], **json.loads((self.root / "environment.json").read_text()), **own}

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if (what := self.running.pop(pid, "")) and status:
                self.say(f"{what} ended with {os.waitstatus_to_exitcode(status)}")

    def watch_server(self) -> None:
        """A turn at once when the server that was seen has ended although it is wanted."""
        pid = processes.pid_of(Path(self.spec["run_dir"]) / "zookeeper.pid")
        if self.server and not processes.alive(self.server):
            if (Path(self.spec["run_dir"]) / "zookeeper.wanted").exists() and pid in (0, self.server):
                self.say(f"server {self.server} has ended unexpectedly: recover at once")
                self.next_recover = 0.0
            self.server = 0
        if pid and processes.alive(pid):
            self.server = pid

    def shut_down(self) -> None:
        """As a service manager does: TERM to all, KILL to what is left."""
        self.say("shutting down")
        left = processes.of_machine(os.getpid(), str(self.root))
        processes.send(left, signal.SIGCONT)
        processes.send(left, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while processes.of_machine(os.getpid(), str(self.root)) and time.monotonic() < deadline:
            self.reap()
            time.sleep(0.02)
        processes.kill_all(os.getpid(), str(self.root))
        self.say("power off")

    def say(self, sentence: str) -> None:
        with open(self.root / "machine.log", "a", encoding="utf-8") as log:
            log.write(f"{datetime.now(UTC):%H:%M:%S.%f} {sentence}\n")


def main() -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    Init(Path(sys.argv[1])).run()


if __name__ == "__main__":
    main()
