"""A journal of one's own: a real journald beside the machine's, and processes whose units it believes.

Root only: a namespace of journald (systemd-journald.service(8)) and cgroups of version 2. Else NotPossibleHere.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.lab.errors import LabError, NotPossibleHere
from tests.lab.full import cgroups

JOURNALD = "/usr/lib/systemd/systemd-journald"
SLICE = "zkboot-journal.slice"
START_SECONDS = 10.0

# It lives until its input ends: journald learns from /proc whose words these were.
SAY = """
import socket, sys
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
count = int(sys.argv[2])
for _ in range(count):
    size = int.from_bytes(sys.stdin.buffer.read(8), "little")
    journal.sendto(sys.stdin.buffer.read(size), sys.argv[1])
sys.stdin.buffer.read()
"""


class Journald:
    """Runs until closed; `name` is its namespace."""

    def __init__(self, name: str) -> None:
        if os.geteuid() != 0 or not Path(JOURNALD).exists() or not shutil.which("journalctl"):
            raise NotPossibleHere("a journald of one's own needs root and systemd")
        self.name = name
        self._cgroup = cgroups.top().parent / SLICE
        self._folder = Path(f"/run/systemd/journal.{name}")
        self._sweep()
        self._folder.mkdir(parents=True)
        self._process = subprocess.Popen([JOURNALD, name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + START_SECONDS
        while not (self._folder / "socket").exists():
            if self._process.poll() is not None or time.monotonic() > until:
                self.close()
                raise NotPossibleHere("journald does not start here")
            time.sleep(0.02)

    @property
    def socket(self) -> str:
        return str(self._folder / "socket")

    def say(self, unit: str, *messages: str, priority: int = 6, **fields: str) -> None:
        """As a process of that unit; "" is none of any."""
        entries = [entry({"MESSAGE": message, "PRIORITY": str(priority), **fields}) for message in messages]
        folder = self._cgroup / unit
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-I", "-S", "-c", SAY, self.socket, str(len(entries))]
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
        if unit:
            (folder / "cgroup.procs").write_text(f"{process.pid}\n")
        assert process.stdin is not None
        for one in entries:
            process.stdin.write(len(one).to_bytes(8, "little") + one)
        process.stdin.flush()
        until = time.monotonic() + START_SECONDS
        while self._count(process.pid) < len(entries):
            if time.monotonic() > until:
                raise LabError(f"the journal {self.name} has not taken what {unit or 'nobody'} said")
            time.sleep(0.02)
        process.communicate()

    def _count(self, pid: int) -> int:
        command = ["journalctl", f"--namespace={self.name}", "--quiet", "--output=export", "--output-fields=_PID", f"_PID={pid}"]
        return subprocess.run(command, capture_output=True, check=True).stdout.count(b"__CURSOR=")

    def put_first_on_path(self, folder: Path) -> None:
        """A `journalctl` that reads this journal, in a folder that comes first on somebody's PATH."""
        program = folder / "journalctl"
        program.write_text(f'#!/bin/sh\nexec {shutil.which("journalctl")} --namespace={self.name} "$@"\n')
        program.chmod(0o755)

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()
        self._sweep()

    def _sweep(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        for place in ("/var/log/journal", "/run/log/journal"):
            for folder in Path(place).glob(f"*.{self.name}"):
                shutil.rmtree(folder)
        for folder in sorted(self._cgroup.glob("*"), reverse=True):
            if folder.is_dir():
                folder.rmdir()
        if self._cgroup.exists():
            self._cgroup.rmdir()


def entry(fields: Mapping[str, str]) -> bytes:
    """In journald's native protocol: a field with a line break has its length before it."""
    parts = []
    for name, value in fields.items():
        data = value.encode()
        if b"\n" in data:
            parts.append(name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n")
        else:
            parts.append(name.encode() + b"=" + data + b"\n")
    return b"".join(parts)
