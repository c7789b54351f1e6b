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

from zkboot.errors import SettingsError, UnknownFact
from zkboot.zookeeper import configuration, files, sizing

if TYPE_CHECKING:
    from zkboot.settings import Settings

MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
UNIT = "zookeeper.service"
LOG_FOLDER = "/var/log/zookeeper"  # of the unit: its LogsDirectory
STOP_SECONDS = 5.0  # an orderly end takes less; the KILL after it loses nothing, as every transaction was synced
KILL_SECONDS = 10.0
SYSTEMCTL_SECONDS = 60.0
SINCE = "InactiveExitTimestampMonotonic"  # when its last start began
NO_SYSTEMD = 'use the image (make ami), or set it to "process"'
SHOWN = ("LoadState", "ActiveState", "MainPID", SINCE)

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

    def check(self) -> None:
        """Raises SettingsError where it could not be started on this machine."""


def of(settings: "Settings") -> Service:
    return Systemd(settings) if settings.node.service == "systemd" else Supervised(settings)


def arguments(settings: "Settings", memory: int) -> list[str]:
    """The JVM's arguments, for a machine with that much memory in bytes."""
    node, zookeeper = settings.node, settings.zookeeper
    return [
        f"-Xmx{zookeeper.heap or sizing.heap(memory)}",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",  # its shared file stalls the server when the disk does, and outlives a power cut
        *([f"-XX:SharedArchiveFile={zookeeper.shared_archive}", "-Xshare:auto"] if zookeeper.shared_archive else []),
        *(_diagnostics() if node.service == "systemd" else []),
        *zookeeper.jvm_flags,
        f"-Dlogback.configurationFile={node.zookeeper_home}/conf/logback.xml",
        f"-Djute.maxbuffer={zookeeper.jute_maxbuffer}",
        "-cp",
        ":".join(jars(settings)),
        MAIN,
        configuration.zoo_cfg(node.conf_dir),
    ]


def _diagnostics() -> list[str]:
    """What a person needs afterwards, with a bound: 50 MB of the collector's log, and one heap dump until somebody removes it."""
    return [
        f"-Xlog:gc*,safepoint:file={LOG_FOLDER}/gc.log:time,uptime,level,tags:filecount=4,filesize=10m",
        "-XX:+HeapDumpOnOutOfMemoryError",
        f"-XX:HeapDumpPath={LOG_FOLDER}/heap.hprof",  # the JVM writes over no file
    ]


def jars(settings: "Settings") -> list[str]:
    """ZooKeeper's own and all that it needs. Raises SettingsError where there are none."""
    lib = f"{settings.node.zookeeper_home}/lib"
    found = [f"{lib}/{name}" for name in files.listing(lib) if name.endswith(".jar")]
    if not found:
        raise SettingsError(f"node.zookeeper_home: there are no jars in {lib}: name the folder of ZooKeeper's distribution")
    return found


def java(settings: "Settings") -> str:
    """The path of the java command. Raises SettingsError where there is none."""
    found = shutil.which(settings.node.java)
    if found is None:
        raise SettingsError(
            f"node.java: there is no command {settings.node.java} on this machine: install Java 17 or newer, or name it"
        )
    return found


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
        command = [java(self._settings), f"@{write_arguments(self._settings)}"]
        with files.unknown_on_error():
            files.make_folder(node.state_dir)
            files.write(self._wanted, "")
            if self._running() is not None:
                return
            files.remove(self._pid_file)
            launch = ["sh", "-euc", LAUNCH, "launch", self._pid_file, f"{node.state_dir}/zookeeper.log"]
            done = subprocess.run([*launch, *command], stdin=subprocess.DEVNULL, cwd="/", umask=0o077, check=False)
        if done.returncode:
            raise UnknownFact(f"the server may not have been started (status {done.returncode}); see {node.state_dir}")

    def stop(self) -> None:
        with files.unknown_on_error():
            files.remove(self._wanted)
            running = self._running()
            if running is not None:
                self._end(running)
            files.remove(self._pid_file)

    def check(self) -> None:
        java(self._settings)
        jars(self._settings)

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
    """The unit `zookeeper.service`, whose ExecStart is `java @<run_dir>/java.arguments`, without Restart= and without a limit of
    starts (StartLimitIntervalSec=0): zkboot alone starts it, and paces that.

    systemctl waits for the end of what it asks for. Where it waits in vain here the job goes on, and the next turn looks again.
    """

    def __init__(self, settings: "Settings") -> None:
        self._settings = settings

    def age(self) -> float | None:
        return parse_show(self._systemctl("show", f"--property={','.join(SHOWN)}", UNIT), time.monotonic())

    def start(self) -> None:
        """From a failed state too, and once more while it starts: systemd merges the jobs."""
        write_arguments(self._settings)
        self._systemctl("start", UNIT)

    def stop(self) -> None:
        self._systemctl("stop", UNIT)

    def check(self) -> None:
        jars(self._settings)

    def _systemctl(self, *arguments: str) -> str:
        command = ["systemctl", *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SYSTEMCTL_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise UnknownFact(
                f"{' '.join(command)} has not ended in {SYSTEMCTL_SECONDS:g} s; see journalctl -u {UNIT}"
            ) from error
        except OSError as error:
            raise SettingsError(f"node.service: there is no systemd on this machine ({error}): {NO_SYSTEMD}") from error
        if done.returncode:
            said = "; ".join(done.stderr.splitlines())
            raise UnknownFact(f"{' '.join(command)} failed: {said}; see journalctl -u {UNIT}")
        return done.stdout


def parse_show(output: str, now: float) -> float | None:
    """The unit's age in seconds by `systemctl show`; `now` and its timestamp (microseconds) are CLOCK_MONOTONIC.

    A unit that starts counts as running, and one that stops until its server has ended: it may use the data. Raises
    SettingsError where there is no such unit, UnknownFact for a state that is neither.
    """
    values = dict(line.split("=", 1) for line in output.splitlines() if "=" in line)
    if values.get("LoadState") == "not-found":
        raise SettingsError(f"node.service: there is no {UNIT} on this machine: {NO_SYSTEMD}")
    state = values.get("ActiveState", "unknown")
    if state in ("inactive", "failed") or (state == "deactivating" and values.get("MainPID") == "0"):
        return None
    if state in ("active", "activating", "deactivating", "reloading"):
        return max(now - int(values[SINCE] or 0) / 1e6, 0.0)
    raise UnknownFact(f"{UNIT} is {state}; see systemctl status {UNIT}")
