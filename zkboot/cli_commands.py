"""What each command of the command line does: small functions of the parsed command line that return the exit code."""

import argparse
import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

from zkboot import __version__, older_keys, say
from zkboot.clock import NodeClock
from zkboot.errors import DONE, FAILED, Damaged, SettingsError, UsageError
from zkboot.lock import node_lock
from zkboot.settings import load, load_with_origins
from zkboot.settings_keys import EXTRA, KEYS, Settings
from zkboot.zookeeper import files

if TYPE_CHECKING:
    from zkboot.reconcile import Turn
    from zkboot.world import World

BESIDE_A_SERVER = 10  # nice: of a busy processor a tenth, and done while a person waits; the timer's unit asks for less


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
    loaded = load_with_origins(options.config, options.set)
    settings, origin = loaded.settings, loaded.origin
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
    from zkboot import adoptions

    settings = _settings(options)
    if options.through:
        _confirm(options, settings, "takes this node's data into zkboot's care and starts its server")
        return _loop(options, lambda w, s, tell: adoptions.adopt_live(w, s, tell, options.through), _patience)
    _confirm(options, settings, "makes the record follow to the group of this node")
    with node_lock(settings.node.state_dir, _patience(settings), _speaker(options), NodeClock()):
        _speaker(options)(adoptions.follow_group(world(settings), settings))
    return DONE


def restore(options: argparse.Namespace) -> int:
    from zkboot import restores
    from zkboot.aws.backups import S3Backups

    settings = _settings(options)
    if options.abort:
        return _replace(options, "restore", "")
    _show_progress(options)
    asked = restores.Asked(options.name, restores.instant_of(options.before), options.adopt_cluster_id)
    with _damage_told("nothing was done; zkboot backups lists what else there is"):
        chosen = restores.choose(world(settings), S3Backups(settings), settings, asked, _speaker(options))
    _confirm(options, settings, chosen.effect)
    return _loop(options, lambda w, s, tell: restores.restore(w, s, tell, chosen, options.replace_live), _patience)


def _replace(options: argparse.Namespace, command: str, effect: str) -> int:
    from zkboot import commands

    settings = _settings(options)
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


def backup(options: argparse.Namespace) -> int:
    from zkboot import backups
    from zkboot.aws.backups import S3Backups

    settings = _settings(options)
    make = backups.scheduled if options.scheduled else backups.typed
    if settings.backup.mode == "hot" and not options.scheduled:  # a server that is stopped for it is to come back soon
        os.nice(BESIDE_A_SERVER)
    with _backup_lock(options, settings):
        make(world(settings), S3Backups(settings), settings, _speaker(options), S3Backups.of_copies(settings))
    return DONE


def prune(options: argparse.Namespace) -> int:
    from zkboot import backups
    from zkboot.aws.backups import S3Backups
    from zkboot.backup import prune, table

    settings = _settings(options)
    store = S3Backups(settings)
    if options.dry_run:
        planned = prune.plan(store, settings)
        text = table.plan_as_json(planned) if options.json else table.plan_as_text(planned)
        if text:
            print(text)
        return DONE
    with _backup_lock(options, settings):
        backups.pruned(world(settings), store, settings, _speaker(options))
    return DONE


def backups(options: argparse.Namespace) -> int:
    from zkboot.aws.backups import S3Backups
    from zkboot.backup import table

    settings = _of_bucket(options, _settings(options))
    listed = table.read(S3Backups(settings), settings.backup.prefix)
    text = table.as_json(listed) if options.json else table.as_text(listed)
    if text:
        print(text)
    return FAILED if listed.unreadable else DONE


def verify(options: argparse.Namespace) -> int:
    from zkboot.aws.backups import S3Backups
    from zkboot.backup import verify

    settings = _of_bucket(options, _settings(options))
    if options.scheduled and not options.drill:
        raise UsageError("--scheduled is the way of the drills' timer: say --drill too")
    with _damage_told("it is marked as damaged; zkboot backup makes another one"):
        if options.drill:
            return _drill(options, settings)
        _show_progress(options)
        store, by = S3Backups(settings), os.uname().nodename
        verify.verify(store, settings, verify.chosen(store, settings, options.name, by), by, _speaker(options))
        return DONE


@contextmanager
def _damage_told(advice: str) -> Iterator[None]:
    """What is to be done about a damaged backup is the command's to say."""
    try:
        yield
    except Damaged as damage:
        raise Damaged(f"{damage}; {advice}") from damage


def _drill(options: argparse.Namespace, settings: Settings) -> int:
    from zkboot import backups
    from zkboot.aws.backups import S3Backups
    from zkboot.backup import drill, verify

    store, by = S3Backups(settings), os.uname().nodename
    with _backup_lock(options, settings):
        if options.scheduled:
            backups.drill_scheduled(world(settings), store, settings, _speaker(options))
        else:
            drill.drill(store, settings, verify.chosen(store, settings, options.name, by), by, _speaker(options))
    return DONE


def logs(options: argparse.Namespace) -> int:
    from zkboot.logs import story

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a person's way to end it, of which nothing needs to be said
    asked = story.of_options(options)
    for told in story.tell(asked):
        print(story.as_json(told) if options.json else story.as_text(told), flush=options.follow)
    return DONE


def ship(options: argparse.Namespace) -> int:
    from zkboot.aws.imds import Imds
    from zkboot.aws.logs import LogGroup
    from zkboot.logs.ship import Shipper

    settings = load(options.config, options.set)
    speak = _speaker(options)
    if not settings.aws.log_group:
        speak("nothing is shipped, as aws.log_group is not set")
        return DONE
    gc.enable()  # it goes on for long
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    instance = Imds(settings.aws.metadata_endpoint).instance_id()
    # The unit has a user of its own, and a folder for it (StateDirectory=).
    place = f"{os.environ.get('STATE_DIRECTORY') or settings.node.state_dir}/shipped.json"
    speak(f"shipping the journal to {settings.aws.log_group}, as {instance}/UNIT")
    Shipper(LogGroup(settings.aws, settings.aws.log_group), f"{instance}/", place, speak, stop.is_set).run()
    return DONE


def version(options: argparse.Namespace) -> int:
    print(json.dumps({"version": __version__}) if options.json else f"zkboot {__version__}")
    return DONE


def timers(options: argparse.Namespace) -> int:
    from zkboot import ending, timers

    try:
        settings = _settings(options)
    except SettingsError as error:
        # What is wrong with them `wait` has said. Once they are mended, recovery must find that by itself.
        raise SettingsError(timers.without_settings()) from error
    enabled = timers.enable(settings)
    _speaker(options)(ending.ending(settings, backups=timers.BACKUP in enabled))
    return DONE


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


def _loop(
    options: argparse.Namespace,
    command: "Callable[[World, Settings, Callable[[Turn], None]], int]",
    patience: Callable[[Settings], float],
) -> int:
    """Hold the node's lock and run one of the loop's commands, each turn's sentence said."""
    settings, clock = _settings(options), NodeClock()
    speak = _speaker(options)

    quiet = getattr(options, "quiet", False)
    last: Turn | None = None
    measured = clock.monotonic()
    _show_progress(options)

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


def _of_bucket(options: argparse.Namespace, settings: Settings) -> Settings:
    """With --copies the second bucket is meant. Raises UsageError where there is none."""
    from zkboot.aws.backups import of_second_bucket

    if not options.copies:
        return settings
    if not settings.backup.copy_bucket:
        raise UsageError("there is no second bucket: backup.copy_bucket names none")
    if getattr(options, "scheduled", False):
        raise UsageError("what the timer drills is in the first bucket: leave --copies or --scheduled out")
    return of_second_bucket(settings)


@contextmanager
def _backup_lock(options: argparse.Namespace, settings: Settings) -> Iterator[None]:
    """A lock of its own: recovery goes on beside a copy that takes its time."""
    _show_progress(options)
    with node_lock(f"{settings.node.state_dir}/backup", 0.0, _speaker(options), NodeClock()):
        yield


def _settings(options: argparse.Namespace) -> Settings:
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


def _show_progress(options: argparse.Namespace) -> None:
    """A bar, where a person looks on."""
    from zkboot.backup import progress

    progress.screen = sys.stdout if sys.stdout.isatty() and not options.json else None


def _patience(settings: Settings) -> float:
    """How long a command waits for another zkboot on this node: what is typed or called once must not be lost."""
    return settings.timing.bootstrap_timeout


def _plan(options: argparse.Namespace) -> "Turn":
    from zkboot import reconcile

    settings = _settings(options)
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
