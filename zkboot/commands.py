"""A person's commands: `reseed`, `restore`, `create --accept-data-loss`, and their withdrawal.

Each of the three writes its intent into the record by compare-and-set; every living member that reads it stops, promises to stay
stopped and reports, and does nothing else until the intent is carried out or withdrawn. It goes on once each living member has.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from zkboot import record as records
from zkboot.actions.given import Act, password
from zkboot.actions.seeding import next_generation, restoring
from zkboot.actions.writing import put_report, replace_record
from zkboot.errors import FAILED, Halted, Stale, UnknownFact, ZkbootError
from zkboot.model import Action, Change, Decision, DiskState, Holds, Intent, Observation, Quorum, Record, Report, State, Unknown
from zkboot.notes import Notes
from zkboot.observe import Seen, observe
from zkboot.reconcile import Say, Turn, turn
from zkboot.settings import Settings
from zkboot.steps import step
from zkboot.turns import bootstrap
from zkboot.words import ACCEPTED, Words, rank
from zkboot.world import World

WITHDRAWN = "the command was withdrawn, or another took its place; nothing more is done here"


class Refused(ZkbootError):
    """The command does not fit what is there; nothing was changed."""

    exit_code = FAILED


def replace(world: World, settings: Settings, say: Say, command: str, live: bool, source: str = "") -> int:
    """Carry out `reseed`, `restore` (of the backup `source`) or `create` from this node: intent, all stop, next generation with
    this node as its seed.

    Raises Refused before anything was changed, Halted when members do not follow in time.
    """
    found = observe(world, settings, Notes(world))
    if source and under_way(found.observation, source):
        return bootstrap(world, settings, say)
    record = intend(world, settings, found, command, live, source)
    with standing(command):
        carry_out(world, settings, say, record)
    return bootstrap(world, settings, say)


def carry_out(world: World, settings: Settings, say: Say, record: Record) -> None:
    """All stop, this node is named the seed; what cannot be read or written at that moment is tried again."""
    assert record.intent is not None
    end = world.clock.monotonic() + settings.timing.bootstrap_timeout
    while True:
        latest = follow(world, settings, say, record)
        try:
            if record.intent.source:
                say(latest._replace(sentence=given_up(world, latest, record.intent.source)))
            name_seed(world, settings, record)
            return
        except (Stale, UnknownFact) as error:
            if world.clock.monotonic() >= end:
                raise
            say(latest._replace(sentence=f"waiting: {error}"))
            world.clock.sleep(settings.timing.turn_pause)


@contextmanager
def standing(command: str) -> Iterator[None]:
    """From here on members stop for it, and nothing but the command itself, or its withdrawal, starts them again."""
    try:
        yield
    except (Stale, UnknownFact) as error:
        raise type(error)(
            f"{error}. The command stands in the record, and members that have read it stay stopped: run it again, or withdraw "
            f"it: `zkboot {command} --abort` on any node"
        ) from error


def under_way(seen: Observation, source: str) -> bool:
    """Whether this node, killed since, is the seed that restores that very backup. Raises Refused when another one is."""
    record = seen.record
    if not isinstance(record, Record) or (record.state, record.source) != (State.RESTORING, source) or Words(seen).seed_gone:
        return False
    if record.seed != seen.me.instance_id:
        raise Refused(f"{record.seed} restores {source} already, in generation {record.generation}: nothing was done")
    return True


def intend(world: World, settings: Settings, found: Seen, command: str, live: bool, source: str) -> Record:
    """The record with this command's intent in it, written now or found standing."""
    seen = found.observation
    record, quorum, me = known_record(found), seen.quorum, seen.me.instance_id
    if record.intent is not None:
        if (record.intent.command, record.intent.instance_id, record.intent.source) == (command, me, source):
            return record
        of = f" of {record.intent.source}" if record.intent.source else ""
        raise Refused(
            f"`{record.intent.command}`{of} from {record.intent.instance_id} stands in the record already; "
            f"finish it there, or withdraw it: `zkboot {record.intent.command} --abort` on any node"
        )
    if isinstance(quorum, Quorum) and not live:
        raise Refused(
            f"an ensemble of generation {record.generation} serves, led by server {quorum.leader}: nothing was done. "
            "To replace it all the same add --replace-live"
        )
    if command == "reseed" and seen.disk.state is not DiskState.DATA:
        raise Refused(
            f"this node's disk is {seen.disk.state}{': ' + seen.disk.why if seen.disk.why else ''}; run it on a survivor"
        )
    if command == "reseed" and not Words(seen).counts(seen.disk.identity):
        own = seen.disk.identity
        older = own is not None and own.cluster_id == record.cluster_id
        later = (
            f"generation {max(record.created)} was created since" if older else f"the record is of cluster {record.cluster_id}"
        )
        raise Refused(
            f"this node's data is of {own or 'no cluster'}, and {later}: "
            "run it on a member that has that (`zkboot status` says who holds what)"
        )
    group = Words(seen).group
    with step("intend"):
        intent = Intent(command, me, source, group.date if group else 0.0)
        try:
            record, _ = records.replace(world.store, settings.cluster, record._replace(intent=intent), found.etag)
        except Stale as error:
            raise Refused(
                f"nothing was done, as another node wrote the record this moment: run the command again ({error})"
            ) from error
    return record


def known_record(found: Seen) -> Record:
    """Raises Refused where there is none, UnknownFact where that is not known."""
    record = found.observation.record
    if isinstance(record, Record):
        return record
    if record is None:
        raise Refused("the cluster has no record: nothing was done. `zkboot plan` says what that means here, and what to do")
    raise UnknownFact(f"nothing was done, as the cluster's record could not be read: {record.why}")


def follow(world: World, settings: Settings, say: Say, record: Record) -> Turn:
    """Turns until each living member has stopped and reported; says who has not. The last turn."""
    end, wake_at = world.clock.monotonic() + settings.timing.bootstrap_timeout, 0.0
    while True:
        latest = turn(world, settings)
        missing = missing_members(latest, record)
        say(latest._replace(sentence=following(missing)))
        if missing == []:
            return latest
        if world.clock.monotonic() >= end:
            assert record.intent is not None
            raise Halted(
                f"{', '.join(missing or ['members unknown'])} did not stop and report; terminate them and run it again, "
                f"or withdraw it: `zkboot {record.intent.command} --abort` on any node"
            )
        if world.clock.monotonic() >= wake_at and woken(world, settings, latest.observation):
            wake_at = world.clock.monotonic() + settings.timing.recover_interval
        world.clock.sleep(settings.timing.turn_pause)


def woken(world: World, settings: Settings, seen: Observation | None) -> bool:
    """Members that serve look at AWS only when something changed: a configuration put again as it is counts as a change.

    Once is not enough: a member that read the record right before the intent was in it takes that change for one it has seen.
    """
    quorum = seen.quorum if seen is not None else None
    if seen is None or not isinstance(quorum, Quorum):
        return False
    leader = quorum.configuration.server(quorum.leader)
    assert leader is not None
    with suppress(Stale, UnknownFact):
        secret = password(acting(world, settings, Seen(seen, "")))
        with step("wake"):
            world.server.reconfigure(leader.address, secret, Change((leader,), (), quorum.configuration.version))
        return True
    return False


def following(missing: list[str] | None) -> str:
    if missing is None:
        return "waiting: it is not known yet who has stopped and reported"
    if missing:
        return f"waiting: {', '.join(missing)} have not stopped and reported yet"
    return "every living member has stopped and reported"


def missing_members(latest: Turn, record: Record) -> list[str] | None:
    """The living members that have not followed; None while that cannot be known."""
    seen = latest.observation
    if seen is None or not isinstance(seen.record, Record):
        return None
    if seen.record.intent != record.intent:
        raise Refused(WITHDRAWN)
    words = Words(seen)
    if words.group is None or seen.quorum is not None:
        return None
    return [i for i in words.living if not followed(words.reports.get(i), seen.record)]


def followed(report: Report | None, record: Record) -> bool:
    """That member stopped because of this very intent."""
    assert record.intent is not None
    if report is None or report.revision < record.revision:
        return False
    return report.holds is Holds.EMPTY or (report.instance_id == record.intent.instance_id and report.holds is Holds.DATA)


def name_seed(world: World, settings: Settings, intended: Record) -> None:
    """The next generation, seeded by this node; with it the intent is carried out."""
    found = observe(world, settings, Notes(world))
    seen = found.observation
    if isinstance(seen.record, Unknown):
        raise UnknownFact(f"the cluster's record cannot be read: {seen.record.why}")
    record = known_record(found)
    if record.intent is None and record.generation > intended.generation and Words(seen).is_seed:
        return  # the answer to that write was lost
    if record.intent is None or record.intent != intended.intent:
        raise Refused(WITHDRAWN)
    command = record.intent.command
    act = acting(world, settings, found)
    with step("report joining"):
        put_report(world, settings, seen, act.words, Holds.JOINING)
    if command == "restore":
        new = restoring(act, world.backups.backup(record.intent.source), record.intent.source)
    elif command == "reseed":
        new = next_generation(act, State.RESEEDING, "")
    else:
        new = next_generation(act, State.CREATING, ACCEPTED)
    replace_record(act, new, "name seed")


def given_up(world: World, latest: Turn, source: str) -> str:
    """What the members hold that the backup does not."""
    backup, seen = world.backups.backup(source), latest.observation
    assert seen is not None
    words = Words(seen)
    held = [(r.instance_id, r.data) for i in words.living if (r := words.reports.get(i)) is not None]
    newer = [f"{i} ({data.zxid:#x})" for i, data in held if data is not None and rank(data) > (backup.epoch, backup.zxid)]
    if not newer:
        return f"restoring {backup.name}, up to {backup.zxid:#x}: no living member holds more"
    kept = "kept in their archives, and not in the ensemble from now on"
    return f"restoring {backup.name}, up to {backup.zxid:#x}: what {', '.join(newer)} hold beyond that is {kept}"


def acting(world: World, settings: Settings, found: Seen) -> Act:
    """What the actions work with, for a command instead of a turn."""
    seen = found.observation
    return Act(world, settings, seen, Words(seen), found.etag, Decision(1, Action.OBEY, ""), lambda text: None, lambda: None)


def abort(world: World, settings: Settings) -> str:
    """Withdraw whatever command stands in the record; the members take their promises back and start again."""
    found = observe(world, settings, Notes(world))
    record = known_record(found)
    if record.intent is None:
        raise Refused("no command stands in the record: nothing to withdraw")
    with step("withdraw intent"):
        records.replace(world.store, settings.cluster, record._replace(intent=None), found.etag)
    return f"`{record.intent.command}` from {record.intent.instance_id} is withdrawn; the members start again with what they hold"
