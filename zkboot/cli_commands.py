"""What each command of the command line does: small functions of the parsed command line that return the exit code."""

import argparse
import gc
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

from zkboot import __version__
from zkboot.cli_shared import backup_lock, confirm, loop, patience_of, settings_of, show_progress, speaker, world
from zkboot.clock import NodeClock
from zkboot.errors import DONE, FAILED, Damaged, SettingsError, UsageError
from zkboot.lock import node_lock
from zkboot.settings import load, load_with_origins
from zkboot.settings_keys import EXTRA, KEYS, Settings

if TYPE_CHECKING:
    from zkboot.reconcile import Turn

BESIDE_A_SERVER = 10  # nice: of a busy processor a tenth, and done while a person waits; the timer's unit asks for less


def wait(options: argparse.Namespace) -> int:
    from zkboot import turns

    return loop(options, turns.wait, patience_of)


def bootstrap(options: argparse.Namespace) -> int:
    from zkboot import turns

    return loop(options, turns.bootstrap, patience_of)


def recover(options: argparse.Namespace) -> int:
    from zkboot import turns

    # Whoever holds the lock heals this node already, and the timer comes again.
    return loop(options, turns.recover, lambda settings: 0.0)


def leave(options: argparse.Namespace) -> int:
    from zkboot import turns

    return loop(options, turns.leave, patience_of)


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

    settings = settings_of(options)
    if options.through:
        confirm(options, settings, "takes this node's data into zkboot's care and starts its server")
        return loop(options, lambda w, s, tell: adoptions.adopt_live(w, s, tell, options.through), patience_of)
    confirm(options, settings, "makes the record follow to the group of this node")
    with node_lock(settings.node.state_dir, patience_of(settings), speaker(options), NodeClock()):
        speaker(options)(adoptions.follow_group(world(settings), settings))
    return DONE


def restore(options: argparse.Namespace) -> int:
    from zkboot import restores
    from zkboot.aws.backups import S3Backups

    settings = settings_of(options)
    if options.abort:
        return _replace(options, "restore", "")
    show_progress(options)
    asked = restores.Asked(options.name, restores.instant_of(options.before), options.adopt_cluster_id)
    with _damage_told("nothing was done; zkboot backups lists what else there is"):
        chosen = restores.choose(world(settings), S3Backups(settings), settings, asked, speaker(options))
    confirm(options, settings, chosen.effect)
    return loop(options, lambda w, s, tell: restores.restore(w, s, tell, chosen, options.replace_live), patience_of)


def _replace(options: argparse.Namespace, command: str, effect: str) -> int:
    from zkboot import commands

    settings = settings_of(options)
    if options.abort:
        speaker(options)(commands.abort(world(settings), settings))
        return DONE
    confirm(options, settings, effect)
    return loop(options, lambda w, s, tell: commands.replace(w, s, tell, command, options.replace_live), patience_of)


def backup(options: argparse.Namespace) -> int:
    from zkboot import backups
    from zkboot.aws.backups import S3Backups

    settings = settings_of(options)
    make = backups.scheduled if options.scheduled else backups.typed
    if settings.backup.mode == "hot" and not options.scheduled:  # a server that is stopped for it is to come back soon
        os.nice(BESIDE_A_SERVER)
    with backup_lock(options, settings):
        make(world(settings), S3Backups(settings), settings, speaker(options), S3Backups.of_copies(settings))
    return DONE


def prune(options: argparse.Namespace) -> int:
    from zkboot import backups
    from zkboot.aws.backups import S3Backups
    from zkboot.backup import prune, table

    settings = settings_of(options)
    store = S3Backups(settings)
    if options.dry_run:
        planned = prune.plan(store, settings)
        text = table.plan_as_json(planned) if options.json else table.plan_as_text(planned)
        if text:
            print(text)
        return DONE
    with backup_lock(options, settings):
        backups.pruned(world(settings), store, settings, speaker(options))
    return DONE


def backups(options: argparse.Namespace) -> int:
    from zkboot.aws.backups import S3Backups
    from zkboot.backup import table

    settings = _of_bucket(options, settings_of(options))
    listed = table.read(S3Backups(settings), settings.backup.prefix)
    text = table.as_json(listed) if options.json else table.as_text(listed)
    if text:
        print(text)
    return FAILED if listed.unreadable else DONE


def verify(options: argparse.Namespace) -> int:
    from zkboot.aws.backups import S3Backups
    from zkboot.backup import verify

    settings = _of_bucket(options, settings_of(options))
    if options.scheduled and not options.drill:
        raise UsageError("--scheduled is the way of the drills' timer: say --drill too")
    with _damage_told("it is marked as damaged; zkboot backup makes another one"):
        if options.drill:
            return _drill(options, settings)
        show_progress(options)
        store, by = S3Backups(settings), os.uname().nodename
        verify.verify(store, settings, verify.chosen(store, settings, options.name, by), by, speaker(options))
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
    with backup_lock(options, settings):
        if options.scheduled:
            backups.drill_scheduled(world(settings), store, settings, speaker(options))
        else:
            drill.drill(store, settings, verify.chosen(store, settings, options.name, by), by, speaker(options))
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
    speak = speaker(options)
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
        settings = settings_of(options)
    except SettingsError as error:
        # What is wrong with them `wait` has said. Once they are mended, recovery must find that by itself.
        raise SettingsError(timers.without_settings()) from error
    enabled = timers.enable(settings)
    speaker(options)(ending.ending(settings, backups=timers.BACKUP in enabled))
    return DONE


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


def _plan(options: argparse.Namespace) -> "Turn":
    from zkboot import reconcile

    settings = settings_of(options)
    return reconcile.plan(world(settings), settings)


def _value(settings: Settings, key: str) -> object:
    if key.startswith(EXTRA + "."):
        return settings.zookeeper.extra[key.removeprefix(EXTRA + ".")]
    value: object = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value
