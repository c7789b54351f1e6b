"""One machine seen from outside: its power, its processes, its disks, its words."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.lab import ensemble, processes
from tests.lab.errors import LabError, NotPossibleHere
from tests.lab.network import Network
from tests.lab.user_data import runcmd, zkboot_toml

CHECKOUT = Path(__file__).resolve().parents[2]
LOGS = ("cloud-init-output.log", "recover.log", "backup.log", "machine.log")
MARKER = ".zkboot-volume"


class Site(NamedTuple):
    """Where a machine is, and what it runs."""

    instance_id: str
    address: str
    zone: str
    root: Path
    network: Network
    command: tuple[str, ...]  # the program, before its arguments
    settings: Mapping[str, Any]  # zkboot.toml, as tables
    environment: Mapping[str, str]
    recover_interval: float  # seconds
    backups: tuple[float, float]  # seconds from a boot to the first look, and from look to look: the image's timer's unless set


class Machine:
    """A machine of the lab. Its root folder keeps everything that it has, and after its end its logs."""

    PROGRAM = "tests.lab.machine"  # what it is while it is on; its argument is the root folder
    SHUTDOWN_SECONDS = 60.0

    def __init__(self, site: Site) -> None:
        self.instance_id = site.instance_id
        self.address = site.address
        self.zone = site.zone
        self.root = site.root
        self.settings = site.settings
        self.client_port: int = site.settings.get("zookeeper", {}).get("client_port", ensemble.CLIENT_PORT)
        self.network = site.network
        self.command = list(site.command)
        self.environment = dict(site.environment) | {processes.MARK: str(site.root), "PYTHONPATH": str(CHECKOUT)}
        self.environment["PATH"] = f"{site.root}/bin:{site.environment['PATH']}"
        self._init: subprocess.Popen[bytes] | None = None
        self._build(site)

    def __repr__(self) -> str:
        return f"{self.instance_id} ({self.address})"

    def _build(self, site: Site) -> None:
        node = site.settings["node"]
        for folder in (node["conf_dir"], node["state_dir"], node["run_dir"], self.root / "home", self.root / "vol"):
            Path(folder).mkdir(parents=True, exist_ok=True)
        (self.root / "vol" / MARKER).touch()
        (self.root / "etc").mkdir(exist_ok=True)
        (self.root / "etc/zkboot.toml").write_text(zkboot_toml(site.settings))
        (self.root / "bin").mkdir(exist_ok=True)
        for name, script in (("zkboot", f'exec {shlex.join(self.command)} "$@"'), ("systemctl", "exit 1  # no systemd here")):
            (self.root / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
            (self.root / "bin" / name).chmod(0o755)
        (self.root / "environment.json").write_text("{}")
        spec = {
            "command": self.command,
            "first_boot": runcmd(),
            "recover_interval": site.recover_interval,
            "first_backup": site.backups[0],
            "backup_interval": site.backups[1],
            "run_dir": node["run_dir"],
            "environment": self.environment,
        }
        (self.root / "machine.json").write_text(json.dumps(spec, indent=1))

    # Power

    @property
    def on(self) -> bool:
        return self._init is not None and self._init.poll() is None

    def power_on(self) -> None:
        """Boot."""
        if self.on:
            raise LabError(f"{self} is on already")
        self._forget()
        with open(self.root / "machine.log", "ab") as log:
            self._init = subprocess.Popen(
                self.network.boot([sys.executable, "-m", self.PROGRAM, str(self.root)]),
                cwd=self.root,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.network.plug(self._init, self.address)

    def _forget(self) -> None:
        """What lives in memory only (/run) starts empty."""
        run = Path(self.settings["node"]["run_dir"])
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir(parents=True)
        (self.root / "boot.json").unlink(missing_ok=True)

    def power_cut(self) -> None:
        """Every process at once, without a warning."""
        if self._init is not None:
            if self.on:
                processes.cut(self._init.pid, str(self.root))
            processes.kill_all(self._init.pid, str(self.root))
            self._switched_off()

    def shut_down(self) -> None:
        """In order, as EC2 does before it terminates."""
        if self._init is not None:
            self._init.terminate()
            try:
                self._init.wait(self.SHUTDOWN_SECONDS)
            except subprocess.TimeoutExpired:
                self.power_cut()
            processes.kill_all(self._init.pid, str(self.root))
            self._switched_off()

    def _switched_off(self) -> None:
        assert self._init is not None and self._init.stdin is not None
        self._init.wait()
        self._init.stdin.close()

    def reboot(self) -> None:
        self.shut_down()
        self.power_on()

    # The server and zkboot

    @property
    def server_pid(self) -> int:
        """0 when no server runs."""
        pid = processes.pid_of(Path(self.settings["node"]["run_dir"]) / "zookeeper.pid")
        return pid if pid and processes.alive(pid) else 0

    def kill_server(self) -> None:
        self._signal_server(signal.SIGKILL)

    def freeze_server(self) -> None:
        """Returns when nothing of it runs any more."""
        self._signal_server(signal.SIGSTOP)
        processes.freeze([self.server_pid])

    def thaw_server(self) -> None:
        self._signal_server(signal.SIGCONT)

    def _signal_server(self, number: int) -> None:
        if not (pid := self.server_pid):
            raise LabError(f"no server runs on {self}")
        os.kill(pid, number)

    def zkboot_pids(self) -> set[int]:
        """What runs of zkboot now (everything of the machine but its server)."""
        pids = processes.of_machine(self._init.pid, str(self.root)) if self._init else set()
        return {pid for pid in pids if Path(processes.command_line(pid)[0]).name != "java"}

    def freeze_zkboot(self) -> None:
        """The init too: no new turn starts until `thaw_zkboot`."""
        assert self._init is not None
        processes.freeze([self._init.pid])
        while moving := processes.moving(self.zkboot_pids()):  # one may have begun another before it stood still
            processes.freeze(moving)

    def thaw_zkboot(self) -> None:
        assert self._init is not None
        processes.send([*self.zkboot_pids(), self._init.pid], signal.SIGCONT)

    def kill_zkboot(self) -> int:
        """KILL what runs of zkboot now; how many that were."""
        pids = self.zkboot_pids()
        processes.send(pids, signal.SIGKILL)
        return len(pids)

    def start_zkboot(self, *arguments: str) -> subprocess.Popen[str]:
        """One more zkboot on this machine, as if typed on it: once it has booted, where it is on."""
        command = [*self.command, *arguments]
        while self.on and not (self.root / "boot.json").exists():
            time.sleep(0.02)
        return subprocess.Popen(
            self.network.typed(self._init.pid, command) if self._init and self.on else command,
            cwd=self.root,
            env=self.typed_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def zkboot(self, *arguments: str, timeout: float = 150.0) -> subprocess.CompletedProcess[str]:
        """`zkboot ARGUMENTS` typed on this machine; standard error is part of `stdout`."""
        process = self.start_zkboot(*arguments)
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            raise LabError(f"zkboot {' '.join(arguments)} on {self} took longer than {timeout:g} s and said: {output}") from None
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    def typed_environment(self) -> dict[str, str]:
        """The environment of what is typed on this machine."""
        boot = self.root / "boot.json"
        return (
            self.environment | self._overrides() | (json.loads(boot.read_text()) if boot.exists() else {"ZKBOOT_LAB_BOOT": "off"})
        )

    def status(self) -> dict[str, Any]:
        """What `zkboot status --json` says on this machine."""
        done = self.zkboot("status", "--json")
        try:
            return dict(json.loads(done.stdout))
        except json.JSONDecodeError:
            raise LabError(f"zkboot status --json on {self} ended with {done.returncode}: {done.stdout}") from None

    def set_environment(self, **changes: str | None) -> None:
        """For every zkboot that starts from now on; None removes."""
        overrides = self._overrides() | changes
        text = json.dumps({name: value for name, value in overrides.items() if value is not None})
        part = self.root / "environment.json.part"
        part.write_text(text)
        part.rename(self.root / "environment.json")

    def _overrides(self) -> dict[str, Any]:
        return dict(json.loads((self.root / "environment.json").read_text()))

    def skew_clock(self, seconds: float) -> None:
        """zkboot's wall clock is off by this from its next start on (the server's and AWS's are not)."""
        self.set_environment(ZKBOOT_LAB_CLOCK_OFFSET=str(seconds))

    def stop_at_step(self, *orders: str, shared: Path | None = None) -> None:
        """`before:NAME:kill` and the like (tests/lab/node.py), each once, for the zkboots that start from now on: once for all
        machines with the same `shared` file."""
        (self.root / "step-done").unlink(missing_ok=True)
        # "" also ends what it had from its launch.
        self.set_environment(ZKBOOT_LAB_STEP=",".join(orders), ZKBOOT_LAB_STEPS_SHARED=str(shared or ""))

    @property
    def stopped_at_step(self) -> bool:
        return (self.root / "step-done").exists()

    @property
    def steps_met(self) -> list[str]:
        """The orders that were carried out, one after the other."""
        return (self.root / "step-done").read_text().splitlines() if self.stopped_at_step else []

    # Network

    def lose_packets_to(self, other: "Machine") -> None:
        assert self._init is not None
        self.network.cut(self._init.pid, [other.address])

    def reach_again(self, other: "Machine") -> None:
        """A machine that is off, or has rebooted meanwhile, has forgotten the loss."""
        assert self._init is not None
        if self.on:
            self.network.mend(self._init.pid, [other.address])

    # Disks

    def wipe_disk(self) -> None:
        """The data volume as freshly formatted: mounted, and nothing on it."""
        for entry in (self.root / "vol").iterdir():
            if entry.name == MARKER:
                continue
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def unmount_volume(self) -> None:
        (self.root / "vol").rename(self.root / "vol.unmounted")
        (self.root / "vol").mkdir()

    def mount_volume(self) -> None:
        shutil.rmtree(self.root / "vol")
        (self.root / "vol.unmounted").rename(self.root / "vol")

    def limit_volume(self, size: str) -> None:
        """Make the data volume a file system of its own, of `size` (as mount(8) says: "32m"), with what is on it. Root only."""
        kept = self.root / "vol.kept"
        (self.root / "vol").rename(kept)
        (self.root / "vol").mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "zkboot-lab", str(self.root / "vol")],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            (self.root / "vol").rmdir()
            kept.rename(self.root / "vol")
            raise NotPossibleHere(f"a volume of its own size needs root and mount(8): {done.stderr.strip()}")
        # ZooKeeper's logs are preallocated: 64 MiB each that were never written.
        subprocess.run(["cp", "--archive", "--sparse=always", f"{kept}/.", str(self.root / "vol")], check=True)
        shutil.rmtree(kept)

    def fill_disk(self) -> None:
        """No space left on the data volume (after `limit_volume`)."""
        if not os.path.ismount(self.root / "vol"):
            raise NotPossibleHere(f"the volume of {self} is a plain folder: call limit_volume first (root only)")
        with open(self.root / "vol/filler", "wb", buffering=0) as filler:
            try:
                while filler.write(b"\1" * 65536):
                    pass
            except OSError:
                return

    def free_disk(self) -> None:
        (self.root / "vol/filler").unlink()

    def discard_disks(self) -> None:
        """The instance is gone, and its disks with it; logs stay for the story."""
        self.release_mount()
        for folder in ("vol", "vol.unmounted", "etc", "home", "run"):
            shutil.rmtree(self.root / folder, ignore_errors=True)

    def release_mount(self) -> None:
        if os.path.ismount(self.root / "vol"):
            subprocess.run(["umount", "--lazy", str(self.root / "vol")], check=True)

    # Words

    def log(self) -> str:
        """What cloud-init, the timers and the machine itself said, file after file."""
        return "".join((self.root / name).read_text(errors="replace") for name in LOGS if (self.root / name).exists())

    def said(self, pattern: str) -> str:
        """The last line that matches the regular expression, "" when none does."""
        lines = [line for line in self.log().splitlines() if re.search(pattern, line)]
        return lines[-1] if lines else ""

    def last_words(self, count: int = 5) -> str:
        """The end of each log, for a failure's message."""
        parts = []
        for path in [self.root / name for name in (*LOGS, "var/zkboot/zookeeper.log")]:
            if path.exists() and (lines := path.read_text(errors="replace").splitlines()):
                parts.append(f"  {path.name}:\n" + "\n".join(f"    {line[:400]}" for line in lines[-count:]))
        return f"{self}, {'on' if self.on else 'off'}, {self.answer() or 'no answer'}\n" + "\n".join(parts)

    def answer(self) -> ensemble.Answer | None:
        """What its server says of itself, None when it does not serve."""
        return ensemble.ask(self.address, port=self.client_port)
