"""What the commands of the command line have in common: the settings, the world, the node's lock, and how they speak."""

import argparse
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from zkboot import older_keys, say
from zkboot.clock import NodeClock
from zkboot.errors import UsageError
from zkboot.lock import node_lock
from zkboot.settings import load_with_origins
from zkboot.settings_keys import Settings
from zkboot.zookeeper import files

if TYPE_CHECKING:
    from zkboot.reconcile import Turn
    from zkboot.world import World


def world(settings: Settings) -> "World":
    """The world of this node: AWS, the server, the disk, the clock and the backups."""
    from zkboot.aws.backups import S3Backups
    from zkboot.aws.group import AutoScaling, node_metadata
    from zkboot.aws.s3 import S3Store
    from zkboot.backup.restore import NodeBackups
    from zkboot.world import World
    from zkboot.zookeeper.disk import NodeDisk
    from zkboot.zookeeper.server import NodeServer

    metadata, store = node_metadata(settings), S3Backups(settings)

    def copy(tell: Callable[[str], None]) -> None:
        from zkboot import backups

        backups.typed(world(settings), store, settings, tell, S3Backups.of_copies(settings))

    return World(
        store=S3Store(settings),
        group=AutoScaling(settings, metadata),
        metadata=metadata,
        server=NodeServer(settings),
        disk=NodeDisk(settings),
        clock=NodeClock(),
        backups=NodeBackups(store, settings, copy),
    )


def loop(
    options: argparse.Namespace,
    command: "Callable[[World, Settings, Callable[[Turn], None]], int]",
    patience: Callable[[Settings], float],
) -> int:
    """Hold the node's lock and run one of the loop's commands, each turn's sentence said."""
    settings, clock = settings_of(options), NodeClock()
    speak = speaker(options)

    quiet = getattr(options, "quiet", False)
    last: Turn | None = None
    measured = clock.monotonic()
    show_progress(options)

    def tell(turn: "Turn") -> None:
        nonlocal quiet, last, measured
        last = turn
        gc.enable()  # by now all is imported (see `__main__`)
        # A boot may go on for long: its figures come as often as those of the turns that follow it.
        if clock.monotonic() - measured >= settings.timing.recover_interval:
            measured = clock.monotonic()
            _write_figures(settings, turn)
        quiet = quiet and turn.decision.action == "healthy"
        if quiet:
            return
        speak(turn.sentence, row=turn.decision.row, action=str(turn.decision.action))

    with node_lock(settings.node.state_dir, patience(settings), speak, clock):
        code = command(world(settings), settings, tell)
        if last is not None:
            _write_figures(settings, last)
        return code


def _write_figures(settings: Settings, turn: "Turn") -> None:
    from zkboot import figures
    from zkboot.model import Action, Unknown

    seen, decision = turn.observation, turn.decision
    quorum = None if seen is None or isinstance(seen.quorum, Unknown) else seen.quorum is not None
    figures.write(settings, figures.Verdict(decision.row, decision.action, quorum, decision.action is Action.HALT))


@contextmanager
def backup_lock(options: argparse.Namespace, settings: Settings) -> Iterator[None]:
    """A lock of its own: recovery goes on beside a copy that takes its time."""
    show_progress(options)
    with node_lock(f"{settings.node.state_dir}/backup", 0.0, speaker(options), NodeClock()):
        yield


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings; keys of AWS in them become a profile, with a warning."""
    loaded = load_with_origins(options.config, options.set)
    state_dir = loaded.settings.node.state_dir
    if loaded.keys is None:
        older_keys.forget(state_dir)
        return loaded.settings
    with files.unknown_on_error():
        older_keys.keep(state_dir, loaded.keys)
        print(f"zkboot: {older_keys.warning(loaded.file, state_dir)}", file=sys.stderr)
    return loaded.settings


def show_progress(options: argparse.Namespace) -> None:
    """A bar, where a person looks on."""
    from zkboot.backup import progress

    progress.screen = sys.stdout if sys.stdout.isatty() and not options.json else None


def patience_of(settings: Settings) -> float:
    """How long a command waits for another zkboot on this node: what is typed or called once must not be lost."""
    return settings.timing.bootstrap_timeout


def speaker(options: argparse.Namespace) -> say.Say:
    return say.Say(sys.stdout, say.as_json if options.json else say.as_text)


def confirm(options: argparse.Namespace, settings: Settings, effect: str) -> None:
    """A person types the cluster's name; anything else changes nothing. Raises UsageError."""
    typed = options.confirm
    if not typed and sys.stdin.isatty():
        typed = input(f"`zkboot {options.command}` {effect}.\nType the cluster's name to go on: ")
    if typed.strip() != settings.cluster:
        raise UsageError(f"nothing was done: to confirm give the cluster's name, --confirm {settings.cluster}")
