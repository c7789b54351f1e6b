"""Switching the timers and the shipping of the journal on: systemd's units, or a file for who supervises a machine without it."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from zkboot.errors import ZkbootError
from zkboot.settings_keys import Settings, Timing
from zkboot.zookeeper import files

BACKUP = "zkboot-backup.timer"
UNITS = ("zkboot-recover.timer", BACKUP, "zkboot-drill.timer")
LOGS = "zkboot-logs.service"
DROP_IN = f"/etc/systemd/system/{UNITS[0]}.d/interval.conf"
USUAL = Timing().recover_interval  # what the image's timer says
INTERVAL = """\
# Written by `zkboot timers`, for timing.recover_interval is not the image's.
[Timer]
OnUnitActiveSec=
OnActiveSec=0
OnUnitActiveSec={seconds:g}
"""
SYSTEMCTL_SECONDS = 60.0


def enable(settings: Settings) -> tuple[str, ...]:
    """Recovery runs from now on, and after each reboot; backups too, where there is a timer for them. Returns the units that
    are enabled. Raises ZkbootError where that is not possible."""
    if settings.node.service != "systemd":
        _write_file(settings)
        return ()
    systemctl = _systemctl()
    changed = _set_interval(settings.timing.recover_interval)
    if changed:
        _run(systemctl, "daemon-reload")
    return _enable_units(systemctl, "restart" if changed else "start")


def without_settings() -> str:
    """Switch systemd's timers on all the same, where there are any; what was done, as a sentence."""
    wrong = "the settings cannot be used; zkboot config names what is wrong"
    try:
        _enable_units(_systemctl(), "start")
    except ZkbootError:
        return f"nothing is started and no timer is switched on: {wrong}"
    return f"nothing is started: {wrong}. Recovery looks every minute whether it is mended"


def _systemctl() -> str:
    found = shutil.which("systemctl")
    if found is None:
        raise ZkbootError(
            'systemctl is not on this machine, and node.service is "systemd": set it to "process", or use the image'
        )
    return found


def _enable_units(systemctl: str, verb: str) -> tuple[str, ...]:
    known = tuple(unit for unit in UNITS if _run(systemctl, "cat", unit).returncode == 0)
    if UNITS[0] not in known:
        raise ZkbootError(f"{UNITS[0]} is not installed on this machine; it is part of the image (make ami)")
    for word in ("enable", verb):
        done = _run(systemctl, word, *known)
        if done.returncode != 0:
            raise ZkbootError(f"systemctl {word} {' '.join(known)} failed: {done.stderr.strip()}; zkboot runs as root")
    # A node serves without it, and systemd tells what is wrong with it.
    _run(systemctl, "enable", "--now", "--no-block", LOGS)
    return known


def _set_interval(seconds: float) -> bool:
    """A drop-in for the timer, where the settings ask for another interval than the image's; whether it was changed."""
    wanted = INTERVAL.format(seconds=seconds) if seconds != USUAL else None
    with _told():
        if files.read_text(DROP_IN) == wanted:
            return False
        if wanted is None:
            files.remove(DROP_IN)
        else:
            os.makedirs(os.path.dirname(DROP_IN), exist_ok=True)
            files.write(DROP_IN, wanted)
            os.chmod(DROP_IN, 0o644)  # nothing in it is secret, and systemd warns of one that the world cannot read
    return True


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=SYSTEMCTL_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ZkbootError(f"{' '.join(command)}: {error}") from error


def _write_file(settings: Settings) -> None:
    """What the supervisor of a process machine reads: seconds from one recover to the next."""
    with _told():
        os.makedirs(settings.node.state_dir, mode=0o700, exist_ok=True)
        every = {"schema": 1, "recover_interval": settings.timing.recover_interval}
        files.write(os.path.join(settings.node.state_dir, "timers"), json.dumps(every))


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ZkbootError(f"{error.filename}: cannot be written: {error.strerror}; zkboot runs as root") from error
