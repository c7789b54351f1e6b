"""An instance seen from outside: the same words as tests.lab.machines, said of a booted container."""

import json
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from textwrap import indent

from tests.lab import processes
from tests.lab.errors import LabError, NotPossibleHere
from tests.lab.full import cgroups
from tests.lab.full.hypervisor import VOLUME, init_of
from tests.lab.machines import Machine, Site

VOLUME_BYTES = 2 << 30  # sparse
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FROZEN = "/run/systemd/system/zkboot-recover.service.d"
NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup")


class FullMachine(Machine):
    """Its root folder holds the disks. `layers` are its AMI's folders, the first undermost; `volume` is an EBS volume's id."""

    PROGRAM = "tests.lab.full.hypervisor"
    SHUTDOWN_SECONDS = 40.0

    def __init__(self, site: Site, hostname: str, layers: Iterable[Path], volume: str) -> None:
        self.hostname = hostname
        self.layers = [str(layer) for layer in layers]
        self.volume = volume
        super().__init__(site)

    def _build(self, site: Site) -> None:
        (self.root / "hypervisor").mkdir(parents=True)
        (self.root / "hypervisor/uuid").write_text(f"ec2{self.instance_id[-5:]}-0000-4000-8000-{self.instance_id[-12:]}\n")
        self.cgroup = f"{self.root.parent.name}/{self.instance_id}"
        spec = {
            "name": f"zkboot-lab-{self.instance_id}",
            "hostname": self.hostname,
            "layers": self.layers,
            "volume": self.volume.replace("-", ""),
            "cgroup": self.cgroup,
        }
        (self.root / "instance.json").write_text(json.dumps(spec, indent=1))
        (self.root / "cloud-init-output.log").symlink_to("disk/var/log/cloud-init-output.log")
        if self.volume:
            self.wipe_disk()

    def _forget(self) -> None:
        """Memory is the container's own."""

    # The container's inside

    @property
    def init(self) -> int:
        """Its PID 1, as this machine counts; 0 while it is off."""
        nspawn = processes.pid_of(self.root / "nspawn.pid")
        return init_of(nspawn) if nspawn and self.on else 0

    def inside(self, *command: str) -> list[str]:
        """The command as run in the container. Raises LabError while that is off."""
        if not (init := self.init):
            raise LabError(f"{self} is off")
        clean = ["env", "-i", f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb"]
        return ["nsenter", "--target", str(init), *NAMESPACES, "--", *clean, *command]

    def run(self, *command: str, timeout: float = 150.0) -> "subprocess.CompletedProcess[str]":
        """A command in the container, to its end; standard error is part of `stdout`."""
        return subprocess.run(
            self.inside(*command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )

    def start_zkboot(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.inside("zkboot", *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def pids_of_unit(self, unit: str) -> list[int]:
        """The processes of a unit, by its cgroup."""
        for folder in (cgroups.top() / self.cgroup).rglob(unit):
            return [int(pid) for pid in (folder / "cgroup.procs").read_text().split()]
        return []

    @property
    def server_pid(self) -> int:
        pids = self.pids_of_unit("zookeeper.service") if self.on else []
        return next((pid for pid in pids if Path(processes.command_line(pid)[0]).name == "java"), 0)

    def zkboot_pids(self) -> set[int]:
        """What runs of zkboot now, whoever started it."""
        pids = processes.of_machine(self._init.pid, str(self.root)) if self._init else set()
        return {pid for pid in pids if any("/zkboot" in word for word in processes.command_line(pid)[:2])}

    def freeze_zkboot(self) -> None:
        """No new turn starts until `thaw_zkboot`."""
        self.run("sh", "-c", f"mkdir -p {FROZEN} && echo '[Unit]\nConditionPathExists=/frozen' >{FROZEN}/frozen.conf")
        self.run("systemctl", "daemon-reload")
        processes.freeze(self.zkboot_pids())

    def thaw_zkboot(self) -> None:
        self.run("rm", "-r", FROZEN)
        self.run("systemctl", "daemon-reload")
        processes.send(self.zkboot_pids(), signal.SIGCONT)

    def set_environment(self, **changes: str | None) -> None:
        raise NotPossibleHere("the image runs zkboot as it is: clocks and steps are the process lab's (python -m tests.lab)")

    @property
    def first_boot_done(self) -> bool:
        """Whether cloud-init has come to its end, well or not."""
        return "finished at" in self.file("/var/log/cloud-init-output.log")

    # Disks

    def wipe_disk(self) -> None:
        """A blank volume in the old one's place; the instance formats it."""
        self._only_off("its volume be wiped")
        with open(self.root / VOLUME, "wb") as file:
            file.truncate(VOLUME_BYTES)

    def unmount_volume(self) -> None:
        """The volume is detached."""
        self._only_off("its volume be detached")
        (self.root / VOLUME).rename(self.root / f"{VOLUME}.detached")

    def mount_volume(self) -> None:
        self.shut_down()
        (self.root / f"{VOLUME}.detached").rename(self.root / VOLUME)
        self.power_on()

    def limit_volume(self, size: str) -> None:
        raise NotPossibleHere("an EBS volume keeps its size here")

    def fill_disk(self) -> None:
        self.run("sh", "-c", "cat /dev/zero >/var/lib/zookeeper/filler; true", timeout=300)

    def free_disk(self) -> None:
        self.run("rm", "/var/lib/zookeeper/filler")

    def discard_disks(self) -> None:
        for name in (VOLUME, f"{VOLUME}.detached"):
            (self.root / name).unlink(missing_ok=True)

    def release_mount(self) -> None:
        """Nothing is mounted out here."""

    def _only_off(self, what: str) -> None:
        if self._init is not None and self.on:
            raise LabError(f"{self} must be off before {what}")

    # Words

    def file(self, path: str) -> str:
        """A file that this instance wrote on its root disk, "" when it did not."""
        there = self.root / "disk" / path.lstrip("/")
        return there.read_text(errors="replace") if there.exists() else ""

    def last_words(self, count: int = 5) -> str:
        console = self.root / "console.log"
        lines = console.read_text(errors="replace").splitlines() if console.exists() else []
        server = self.run("journalctl", "--quiet", f"--lines={count}", "--unit=zookeeper.service").stdout if self.init else ""
        more = {"console.log": "\n".join(lines[-count:]), "zookeeper.service": server.rstrip()}
        return "\n".join(
            [super().last_words(count), *(f"  {name}:\n{indent(text, '    ')}" for name, text in more.items() if text)]
        )

    def release(self) -> None:
        cgroups.remove(self.cgroup)
