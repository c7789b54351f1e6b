"""What one instance runs on: `python -m tests.lab.full.hypervisor ROOT`, from power-on to power-off.

It stands in mount and network namespaces of its own and holds there all that the instance is made of, so that nothing of it
outlives this process: the overlay over the image's layers, the EBS volume's loop device, the container. `instance.json` in ROOT
says what it boots. A reboot from within boots again; a power-off ends it. Its standard input is the region's: when that closes,
the region is gone, and so is the power. TERM is an orderly shutdown.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.lab import processes
from tests.lab.full import cgroups, loop

REBOOT = 133  # systemd-nspawn's exit status when the container asks for one
SHUTDOWN_SECONDS = 25.0
LOOK_EVERY = 0.5  # seconds; signals and ends wake it at once
DISKS = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_"
VOLUME = "volume.img"
FOLLOWED = {"zkboot-volume": "zkboot-volume.service", "zkboot": "zkboot-recover.service"}  # who speaks in which unit
# The container is in its cgroup, and ended when this process is.
SETTLE = 'echo $$ >"$1" && shift && exec setpriv --pdeathsig KILL -- "$@"'


class Hypervisor:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.spec: dict[str, Any] = json.loads((root / "instance.json").read_text())
        self.cgroup = cgroups.top() / self.spec["cgroup"]
        self.stopping = 0.0  # monotonic instant from which patience ends

    def run(self) -> None:
        self.say("power on")
        self.mount()
        disks = self.attach()
        wake = self.listen()
        while True:
            container = self.boot(disks)
            status = self.watch(container, wake)
            if status != REBOOT or self.stopping:
                break
            self.say("rebooting")
        self.say("power off")
        cgroups.remove(self.spec["cgroup"])

    def mount(self) -> None:
        """The image's layers, the first undermost, and above them what this instance changes."""
        for name in ("disk", "disk.work", "merged"):
            (self.root / name).mkdir(exist_ok=True)
        lower = ":".join(reversed(self.spec["layers"]))
        options = f"lowerdir={lower},upperdir={self.root}/disk,workdir={self.root}/disk.work"
        subprocess.run(["mount", "-t", "overlay", "-o", options, self.spec["name"], str(self.root / "merged")], check=True)

    def attach(self) -> list[str]:
        """The data volume, where there is one, under the name that EC2 gives it."""
        file = self.root / VOLUME
        if not file.exists():
            return []
        device, _ = loop.attach(file)
        return [f"--bind={device}:{DISKS}{self.spec['volume']}"]

    def listen(self) -> int:
        wake, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self.stop)
        return wake

    def stop(self, *_: object) -> None:
        self.stopping = self.stopping or time.monotonic() + SHUTDOWN_SECONDS

    def boot(self, disks: list[str]) -> "subprocess.Popen[bytes]":
        self.cgroup.mkdir(parents=True, exist_ok=True)
        command = [
            "systemd-nspawn",
            "--quiet",
            "--boot",
            "--register=no",
            "--keep-unit",
            "--settings=no",
            f"--directory={self.root}/merged",
            f"--machine={self.spec['name']}",
            f"--hostname={self.spec['hostname']}",
            f"--network-namespace-path=/proc/{os.getpid()}/ns/net",
            f"--bind-ro={self.root}/hypervisor:/sys/hypervisor",
            *disks,
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            "--kill-signal=SIGRTMIN+3",
            "--console=read-only",
        ]
        settled = ["sh", "-c", SETTLE, "settle", str(self.cgroup / "cgroup.procs"), *command]
        environment = os.environ | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"}
        with open(self.root / "console.log", "ab") as console:
            container = subprocess.Popen(settled, env=environment, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        (self.root / "nspawn.pid").write_text(f"{container.pid}\n")
        return container

    def follow(self, init: int) -> "subprocess.Popen[bytes]":
        """What the units of zkboot say in this boot, into recover.log."""
        boot = Path(f"/proc/{init}/root/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
        matches = [[f"_BOOT_ID={boot}", f"SYSLOG_IDENTIFIER={who}", f"_SYSTEMD_UNIT={unit}"] for who, unit in FOLLOWED.items()]
        words = [word for match in matches for word in (*match, "+")][:-1]
        journal = ["journalctl", "--follow", "--no-tail", "--quiet", "--output=cat", *words]
        with open(self.root / "recover.log", "ab") as log:
            enter = ["nsenter", "--target", str(init), "--mount", "--pid", "--", *journal]
            return subprocess.Popen(enter, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.DEVNULL)

    def watch(self, container: "subprocess.Popen[bytes]", wake: int) -> int:
        """Until the container has ended; its exit status."""
        told = False
        follower: subprocess.Popen[bytes] | None = None
        while container.poll() is None:
            ready, _, _ = select.select([0, wake], [], [], LOOK_EVERY)
            if follower is None and (init := init_of(container.pid)):
                follower = self.follow(init)
            if 0 in ready and not os.read(0, 1):
                self.say("the region is gone: power cut")
                cut(container.pid)
            if wake in ready:
                os.read(wake, 512)
            if follower is not None:
                # A shutdown stops all processes before it kills them, nsenter stops with its child, and the container would
                # wait for it.
                follower.send_signal(signal.SIGCONT)
            if self.stopping and not told:
                self.say("shutting down")
                container.terminate()
                told = True
            if self.stopping and time.monotonic() > self.stopping:
                self.say(f"not down after {SHUTDOWN_SECONDS:g} s: power cut")
                cut(container.pid)
        if follower is not None:
            follower.kill()
            follower.wait()
        return container.returncode

    def say(self, sentence: str) -> None:
        with open(self.root / "machine.log", "a", encoding="utf-8") as log:
            log.write(f"{datetime.now(UTC):%H:%M:%S.%f} {sentence}\n")


def init_of(nspawn: int) -> int:
    """The container's PID 1 as a process id out here; 0 while there is none."""
    for pid in processes.every():
        if processes.stat(pid)[1] == nspawn:
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            inside = next((line.split()[-1] for line in status.splitlines() if line.startswith("NSpid:")), "")
            if inside == "1":
                return pid
    return 0


def cut(nspawn: int) -> None:
    """All processes of the container at once: its PID 1 takes the others with it."""
    processes.send([pid for pid in (init_of(nspawn), nspawn) if pid], signal.SIGKILL)


def main() -> None:
    Hypervisor(Path(sys.argv[1])).run()


if __name__ == "__main__":
    main()
