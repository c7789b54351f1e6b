"""The server's process, driven in two ways: by systemd, or started and watched by zkboot itself.

Both run `java @ARGUMENTS`, an argument file (java(1)) that is written anew before each start; it holds no secret.
"""

import os
import select
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from zkboot.errors import UnknownFact, ZkbootError
from zkboot.zookeeper import configuration, files, sizing

if TYPE_CHECKING:
    from zkboot.settings import Settings

MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
UNIT = "zookeeper.service"
STOP_SECONDS = 5.0  # an orderly end takes less; the KILL after it loses nothing, as every transaction was synced
KILL_SECONDS = 10.0
SYSTEMCTL_SECONDS = 60.0

# The pid and the start time (field 22 of proc(5) stat, in clock ticks since boot) are written before this shell ends, so that a
# zkboot killed here leaves no server that nobody knows. `$!` is the server: setsid, java come by exec.
LAUNCH = """
pid_file=$1; log=$2; shift 2
setsid "$@" </dev/null >>"$log" 2>&1 &
read -r _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ started _ </proc/$!/stat
echo "$! $started" >"$pid_file.new" && mv "$pid_file.new" "$pid_file"
"""


class Service(Protocol):
    """Start, stop and look at the one server of this node. Each may raise UnknownFact."""

    def age(self) -> float | None:
        """For how many seconds the server has been running; None when it is not."""

    def start(self) -> None:
        """Start it, unless it runs."""

    def stop(self) -> None:
        """Stop it, if it runs, and wait until it has ended."""


def of(settings: "Settings") -> Service:
    return Systemd(settings) if settings.node.service == "systemd" else Supervised(settings)


def arguments(settings: "Settings", memory: int) -> list[str]:
    """The JVM's arguments, for a machine with that much memory in bytes."""
    node, zookeeper = settings.node, settings.zookeeper
    lib = f"{node.zookeeper_home}/lib"
    jars = [f"{lib}/{name}" for name in files.listing(lib) if name.endswith(".jar")]
    if not jars:
        raise ZkbootError(f"{lib}: no jars; zookeeper_home must be ZooKeeper's distribution")
    return [
        f"-Xmx{zookeeper.heap or sizing.heap(memory)}",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",  # its shared file stalls the server when the disk does, and outlives a power cut
        *([f"-XX:SharedArchiveFile={zookeeper.shared_archive}", "-Xshare:auto"] if zookeeper.shared_archive else []),
        *zookeeper.jvm_flags,
        f"-Dlogback.configurationFile={node.zookeeper_home}/conf/logback.xml",
        f"-Djute.maxbuffer={zookeeper.jute_maxbuffer}",
        "-cp",
        ":".join(jars),
        MAIN,
        configuration.zoo_cfg(node.conf_dir),
    ]


def write_arguments(settings: "Settings") -> str:
    """The argument file, one quoted argument a line; returns its path."""
    path = f"{settings.node.run_dir}/java.arguments"
    with files.unknown_on_error():
        files.make_folder(settings.node.run_dir)
        escaped = (a.replace("\\", "\\\\").replace('"', '\\"') for a in arguments(settings, sizing.memory_of_machine()))
        files.write(path, "".join(f'"{a}"\n' for a in escaped))
    return path


class Running(NamedTuple):
    """A process: its id, and when it started, so that another one with the same id is not taken for it."""

    pid: int
    started: int  # clock ticks since boot


class Supervised:
    """A detached process, known by a pid file; `zookeeper.wanted` beside it says that its end is unexpected."""

    def __init__(self, settings: "Settings") -> None:
        self._settings = settings
        self._pid_file = f"{settings.node.run_dir}/zookeeper.pid"
        self._wanted = f"{settings.node.run_dir}/zookeeper.wanted"

    def age(self) -> float | None:
        running = self._running()
        if running is None:
            return None
        return max(time.clock_gettime(time.CLOCK_BOOTTIME) - running.started / os.sysconf("SC_CLK_TCK"), 0.0)

    def start(self) -> None:
        node = self._settings.node
        java = shutil.which(node.java)
        if java is None:
            raise ZkbootError(f"{node.java}: no such command; install Java 17 or newer, or set node.java")
        arguments_file = write_arguments(self._settings)
        with files.unknown_on_error():
            files.make_folder(node.state_dir)
            files.write(self._wanted, "")
            if self._running() is not None:
                return
            files.remove(self._pid_file)
            launch = ["sh", "-euc", LAUNCH, "launch", self._pid_file, f"{node.state_dir}/zookeeper.log", java]
            done = subprocess.run([*launch, f"@{arguments_file}"], stdin=subprocess.DEVNULL, cwd="/", umask=0o077, check=False)
        if done.returncode:
            raise UnknownFact(f"the server may not have been started (status {done.returncode}); see {node.state_dir}")

    def stop(self) -> None:
        with files.unknown_on_error():
            files.remove(self._wanted)
            running = self._running()
            if running is not None:
                self._end(running)
            files.remove(self._pid_file)

    def _end(self, running: Running) -> None:
        try:
            handle = os.pidfd_open(running.pid)
        except ProcessLookupError:
            return
        try:
            for number, patience in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
                if self._running() != running:
                    return
                signal.pidfd_send_signal(handle, number)
                if select.select([handle], [], [], patience)[0]:
                    return
        except ProcessLookupError:
            return
        finally:
            os.close(handle)
        raise UnknownFact(f"the server (process {running.pid}) has not ended {KILL_SECONDS:g} s after KILL; the kernel holds it")

    def _running(self) -> Running | None:
        text = files.read_text(self._pid_file)
        if not text:
            return None
        recorded = Running(*map(int, text.split()))
        return recorded if _started(recorded.pid) == recorded.started else None


def _started(pid: int) -> int | None:
    """When a living process started, in clock ticks since boot (proc(5)); None when there is none, or it has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


class Systemd:
    """The unit `zookeeper.service`, whose ExecStart is `java @<run_dir>/java.arguments`, without Restart=."""

    def __init__(self, settings: "Settings") -> None:
        self._settings = settings

    def age(self) -> float | None:
        return parse_show(self._systemctl("show", "--property=ActiveState,ActiveEnterTimestampMonotonic", UNIT), time.monotonic())

    def start(self) -> None:
        write_arguments(self._settings)
        self._systemctl("start", UNIT)

    def stop(self) -> None:
        self._systemctl("stop", UNIT)

    def _systemctl(self, *arguments: str) -> str:
        command = ["systemctl", *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SYSTEMCTL_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnknownFact(f"{' '.join(command)}: {error}") from error
        if done.returncode:
            raise UnknownFact(f"{' '.join(command)} failed: {done.stderr.strip()}; see journalctl -u {UNIT}")
        return done.stdout


def parse_show(output: str, now: float) -> float | None:
    """The unit's age in seconds by `systemctl show`; `now` and its timestamp (microseconds) are CLOCK_MONOTONIC."""
    values = dict(line.split("=", 1) for line in output.splitlines() if "=" in line)
    if values.get("ActiveState") not in ("active", "deactivating", "reloading"):
        return None
    return max(now - int(values.get("ActiveEnterTimestampMonotonic") or 0) / 1e6, 0.0)
