"""What each command of the command line does: small functions of the parsed command line that return the exit code."""

import argparse
import gc
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from zkboot import __version__, say
from zkboot.clock import NodeClock
from zkboot.errors import DONE, UsageError, ZkbootError
from zkboot.lock import node_lock
from zkboot.settings import load, load_with_origins
from zkboot.settings_keys import EXTRA, KEYS, Settings

if TYPE_CHECKING:
    from zkboot.reconcile import Turn
    from zkboot.world import World

UNITS = ("zkboot-recover.timer", "zkboot-backup.timer")


def wait(options: argparse.Namespace) -> int:
    from zkboot import reconcile

    return _loop(options, reconcile.wait, _patience)


def bootstrap(options: argparse.Namespace) -> int:
    from zkboot import reconcile

    return _loop(options, reconcile.bootstrap, _patience)


def recover(options: argparse.Namespace) -> int:
    from zkboot import reconcile

    # Whoever holds the lock heals this node already, and the timer comes again.
    return _loop(options, reconcile.recover, lambda settings: 0.0)


def leave(options: argparse.Namespace) -> int:
    from zkboot import reconcile

    return _loop(options, reconcile.leave, _patience)


def status(options: argparse.Namespace) -> int:
    from zkboot import render

    turn = _plan(options)
    print(render.status_json(turn) if options.json else render.status(turn))
    return turn.exit_code


def plan(options: argparse.Namespace) -> int:
    from zkboot import render

    turn = _plan(options)
    print(render.plan_json(turn) if options.json else render.plan(turn))
    if options.why:
        print(render.why_json(turn) if options.json else render.why(turn))
    return turn.exit_code


def config(options: argparse.Namespace) -> int:
    settings, origin = load_with_origins(options.config, options.set)
    names = [name for name in KEYS if name != EXTRA] + [f"{EXTRA}.{name}" for name in settings.zookeeper.extra]
    rows = [(name, _value(settings, name), origin(name)) for name in names]
    if options.json:
        for name, value, source in rows:
            print(json.dumps({"key": name, "value": value, "origin": source}))
        return DONE
    texts = [(name, json.dumps(value), source) for name, value, source in rows]
    widths = [max(len(row[column]) for row in texts) for column in (0, 1)]
    for name, text, source in texts:
        print(f"{name:{widths[0]}}  {text:{widths[1]}}  {source}")
    return DONE


def reseed(options: argparse.Namespace) -> int:
    return _replace(options, "reseed", "stops every member and goes on from what this node alone holds")


def create(options: argparse.Namespace) -> int:
    if not (options.accept_data_loss or options.abort):
        raise UsageError("zkboot create begins with an empty tree: say --accept-data-loss too")
    return _replace(options, "create", "stops every member and begins with an EMPTY tree")


def adopt(options: argparse.Namespace) -> int:
    from zkboot import commands

    settings = load(options.config, options.set)
    if options.through:
        _confirm(options, settings, "takes this node's data into zkboot's care and starts its server")
        return _loop(options, lambda w, s, tell: commands.adopt_live(w, s, tell, options.through), _patience)
    _confirm(options, settings, "makes the record follow to the group of this node")
    with node_lock(settings.node.state_dir, _patience(settings), _speaker(options), NodeClock()):
        _speaker(options)(commands.follow_group(world(settings), settings))
    return DONE


def _replace(options: argparse.Namespace, command: str, effect: str) -> int:
    from zkboot import commands

    settings = load(options.config, options.set)
    if options.abort:
        _speaker(options)(commands.abort(world(settings), settings))
        return DONE
    _confirm(options, settings, effect)
    return _loop(options, lambda w, s, tell: commands.replace(w, s, tell, command, options.replace_live), _patience)


def _confirm(options: argparse.Namespace, settings: Settings, effect: str) -> None:
    """A person types the cluster's name; anything else changes nothing. Raises UsageError."""
    typed = options.confirm
    if not typed and sys.stdin.isatty():
        typed = input(f"`zkboot {options.command}` {effect}.\nType the cluster's name to go on: ")
    if typed.strip() != settings.cluster:
        raise UsageError(f"nothing was done: to confirm give the cluster's name, --confirm {settings.cluster}")


def version(options: argparse.Namespace) -> int:
    print(json.dumps({"version": __version__}) if options.json else f"zkboot {__version__}")
    return DONE


def timers(options: argparse.Namespace) -> int:
    settings = load(options.config, options.set)
    started = _enable_units() if settings.node.service == "systemd" else _write_timers(settings)
    _speaker(options)(f"recovery every {_period(settings.timing.recover_interval)} ({started})")
    return DONE


def world(settings: Settings) -> "World":
    """The world of this node: AWS, the server, the disk and the clock."""
    from zkboot.aws.group import AutoScaling, node_metadata
    from zkboot.aws.s3 import S3Store
    from zkboot.world import World
    from zkboot.zookeeper.disk import NodeDisk
    from zkboot.zookeeper.server import NodeServer

    metadata = node_metadata(settings)
    return World(
        store=S3Store(settings),
        group=AutoScaling(settings, metadata),
        metadata=metadata,
        server=NodeServer(settings),
        disk=NodeDisk(settings),
        clock=NodeClock(),
    )


def _loop(
    options: argparse.Namespace,
    command: "Callable[[World, Settings, Callable[[Turn], None]], int]",
    patience: Callable[[Settings], float],
) -> int:
    """Hold the node's lock and run one of the loop's commands, each turn's sentence said."""
    settings = load(options.config, options.set)
    speak = _speaker(options)

    quiet = getattr(options, "quiet", False)

    def tell(turn: "Turn") -> None:
        nonlocal quiet
        gc.enable()  # by now all is imported (see `__main__`)
        quiet = quiet and turn.decision.action == "healthy"
        if quiet:
            return
        speak(turn.sentence, row=turn.decision.row, action=str(turn.decision.action))

    with node_lock(settings.node.state_dir, patience(settings), speak, NodeClock()):
        return command(world(settings), settings, tell)


def _patience(settings: Settings) -> float:
    """How long a command waits for another zkboot on this node: what is typed or called once must not be lost."""
    return settings.timing.bootstrap_timeout


def _plan(options: argparse.Namespace) -> "Turn":
    from zkboot import reconcile

    settings = load(options.config, options.set)
    return reconcile.plan(world(settings), settings)


def _speaker(options: argparse.Namespace) -> say.Say:
    return say.Say(sys.stdout, say.as_json if options.json else say.as_text)


def _value(settings: Settings, key: str) -> object:
    if key.startswith(EXTRA + "."):
        return settings.zookeeper.extra[key.removeprefix(EXTRA + ".")]
    value: object = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _enable_units() -> str:
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        raise ZkbootError(
            'systemctl is not on this machine, and node.service is "systemd": set it to "process", or use the image'
        )
    known = [unit for unit in UNITS if _run(systemctl, "cat", unit).returncode == 0]
    if UNITS[0] not in known:
        raise ZkbootError(f"{UNITS[0]} is not installed on this machine; it is part of the image (make ami)")
    enabled = _run(systemctl, "enable", "--now", *known)
    if enabled.returncode != 0:
        raise ZkbootError(f"systemctl enable --now {' '.join(known)} failed: {enabled.stderr.strip()}; zkboot runs as root")
    return ", ".join(known)


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def _write_timers(settings: Settings) -> str:
    """What the supervisor of a process machine reads: seconds from one recover to the next."""
    path = os.path.join(settings.node.state_dir, "timers")
    try:
        os.makedirs(settings.node.state_dir, mode=0o700, exist_ok=True)
        with open(path + ".tmp", "w", encoding="utf-8") as file:
            json.dump({"schema": 1, "recover_interval": settings.timing.recover_interval}, file)
        os.replace(path + ".tmp", path)
    except OSError as error:
        raise ZkbootError(f"{path}: cannot be written: {error.strerror}; zkboot runs as root") from error
    return path


def _period(seconds: float) -> str:
    return "minute" if seconds == 60 else f"{seconds:g} s"
