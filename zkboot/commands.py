"""A person's commands: `reseed`, `restore`, `create --accept-data-loss`, and their withdrawal; and `adopt`.

Each of the three writes its intent into the record by compare-and-set; every living member that reads it stops, promises to stay
stopped and reports, and does nothing else until the intent is carried out or withdrawn. It goes on once each living member has.
`adopt` stops nobody, and has no intent.
"""

import uuid
from contextlib import suppress

from zkboot import record as records
from zkboot.actions.given import Act, password
from zkboot.actions.promises import withdraw
from zkboot.actions.seeding import next_generation, put_secrets, restoring
from zkboot.actions.writing import id_of, put_report, replace_record
from zkboot.errors import FAILED, Halted, Stale, UnknownFact, ZkbootError
from zkboot.model import (
    Action,
    Change,
    Claim,
    Decision,
    Disk,
    DiskState,
    Holds,
    Identity,
    Intent,
    Me,
    Mode,
    Observation,
    Quorum,
    Record,
    Report,
    State,
)
from zkboot.notes import Notes
from zkboot.observe import Seen, observe
from zkboot.reconcile import Say, Turn, bootstrap, turn
from zkboot.settings import Settings
from zkboot.steps import step
from zkboot.words import ACCEPTED, ADOPTED, Words, rank
from zkboot.world import View, World
from zkboot.zookeeper.zoo_cfg import super_digest

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
    latest = follow(world, settings, say, record)
    if source:
        say(latest._replace(sentence=given_up(world, latest, source)))
    name_seed(world, settings, record)
    return bootstrap(world, settings, say)


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
    seen, record = found.observation, known_record(found)
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


def adopt_live(world: World, settings: Settings, say: Say, through: str) -> int:
    """Take this node's part of an ensemble that others built: its data, its id, its place in the record; then start
    it as zkboot does.

    One member after the other: its server stopped by whoever runs it, the rest serving. The first one writes the record, and the
    first whose server serves puts the identity into the ensemble.
    """
    me, disk = world.metadata.me(), world.disk.read()
    found = records.read(world.store, settings.cluster)
    if found is None or disk.identity != Identity(found[0].cluster_id, found[0].generation):
        record = take_in(world, settings, me, disk, found[0] if found else None, through)
    elif is_of_record(found[0], me, disk.server_id) and world.server.view(through).identity is None:
        record = found[0]  # killed before its proof
    else:
        return bootstrap(world, settings, say)
    take_promise_back(world, settings)
    secret = world.store.secret(settings.aws.secret)
    assert secret is not None
    if not world.server.process().running:
        with step("configure"):
            world.disk.prepare_start(super_digest(secret), False)
        with step("start"):
            world.server.start()
    await_service(world, settings)
    with step("prove"):
        world.server.prove(me.address, secret, Identity(record.cluster_id, record.generation))
    return bootstrap(world, settings, say)


def take_promise_back(world: World, settings: Settings) -> None:
    """That of an empty disk, given before others set the server up: it serves from here on."""
    found = observe(world, settings, Notes(world))
    if Words(found.observation).promised:
        withdraw(acting(world, settings, found))


def take_in(world: World, settings: Settings, me: Me, disk: Disk, known: Record | None, through: str) -> Record:
    """This node's data and id become the record's, which the first one writes. Raises Refused before anything was changed."""
    if world.server.process().running:
        raise Refused("this node's server runs: stop it first (the others go on), then run this again")
    if disk.state is not DiskState.DATA or disk.data is None:
        raise Refused(
            f"{settings.node.data_dir} holds nothing to take in ({disk.why or disk.state}); node.data_dir must be its dataDir"
        )
    view = world.server.view(through)
    own = next((s for s in view.configuration.servers if s.address == me.address), None)
    if own is None:
        raise Refused(f"the ensemble at {through} has no server at {me.address}: this node is no member of it")
    if known is None and view.identity is not None:
        raise Refused(
            f"the ensemble at {through} belongs to cluster {view.identity.cluster_id}, whose record is missing: put it back"
        )
    record = known if known is not None else adopted_record(world, settings, me, view, disk)
    identity = Identity(record.cluster_id, record.generation)
    first = view.identity is None and is_of_record(record, me, own.id)
    if record.scope != me.scope:
        raise Refused(
            f"the record of cluster {settings.cluster} belongs to {'/'.join(record.scope)}, this node to {'/'.join(me.scope)}: "
            "nothing was done. Give this group another cluster name"
        )
    if view.identity is None and not first and record.source == ADOPTED:
        others = ", ".join(sorted(claim.instance_id for claim in record.members.values()))
        raise Refused(
            f"the ensemble at {through} belongs to no cluster yet, and the record that {record.seed} wrote of {settings.cluster} "
            f"does not have this node: nothing was done. Adopt one first that it has: {others}"
        )
    if view.identity != identity and not first:
        raise Refused(
            f"the ensemble at {through} belongs to {view.identity or 'no cluster yet'}, the record of {settings.cluster} to "
            f"{identity}: nothing was done. Name a member of that with --through, or give this group another cluster name"
        )
    put_secrets(world, settings, record)
    if id_of(me.instance_id, record) is None:
        claim_adopted(world, settings, me, own.id)
    with step("take in"):
        world.disk.adopt(identity, own.id, view.configuration)
    return record


def is_of_record(record: Record, me: Me, server_id: int | None) -> bool:
    """Whether this member's ensemble is the record's although nobody has put the identity there: this node wrote the record, or
    it was written for an ensemble that has this node, by that very id."""
    return record.seed == me.instance_id or (record.source == ADOPTED and id_of(me.instance_id, record) == server_id)


def adopted_record(world: World, settings: Settings, me: Me, view: View, disk: Disk) -> Record:
    """The first record of an ensemble that others built."""
    group = world.group.describe(frozenset({me.instance_id}))
    living = {i.address: i for i in group.instances.values() if i.address and i.state in ("pending", "running")}
    new = Record(
        revision=0,
        nonce="",
        cluster_id=uuid.uuid4().hex,
        scope=me.scope,
        generation=1,
        state=State.CREATED,
        seed=me.instance_id,
        started=True,
        created=(1,),
        zk_epoch=max(disk.data.current_epoch, disk.data.accepted_epoch) if disk.data else 0,
        members={
            s.id: Claim(living[s.address].id, s.address, living[s.address].zone, group.date)
            for s in view.configuration.servers
            if s.address in living
        },
        source=ADOPTED,
    )
    with step("adopt"):
        return records.create(world.store, settings.cluster, new)[0]


def claim_adopted(world: World, settings: Settings, me: Me, server_id: int) -> None:
    """The record names this node for the id it always had. Raises Stale when another was first; then run the command again."""
    found = records.read(world.store, settings.cluster)
    if found is None:
        raise Refused("the record is gone; run the command again")
    record, etag = found
    mine = Claim(me.instance_id, me.address, me.zone, world.group.describe(frozenset({me.instance_id})).date)
    with step("claim adopted"):
        records.replace(world.store, settings.cluster, record._replace(members={**record.members, server_id: mine}), etag)


def await_service(world: World, settings: Settings) -> None:
    end = world.clock.monotonic() + settings.timing.start_limit
    while world.server.process().mode is Mode.NONE:
        if world.clock.monotonic() >= end:
            raise Halted("the server was started with the ensemble's configuration and does not serve; see its log")
        world.clock.sleep(settings.timing.turn_pause / 10)


def follow_group(world: World, settings: Settings) -> str:
    """Make the record follow to this node's group: the group of before was replaced, its ensemble or its data goes on."""
    found = observe(world, settings, Notes(world))
    record, me = known_record(found), found.observation.me
    if record.scope == me.scope:
        raise Refused(f"the record is of this node's group {me.scope.group} already: nothing to adopt")
    left_behind = still_there(world, record, me)
    if left_behind:
        raise Refused(
            f"{', '.join(left_behind)} of group {record.scope.group} would halt once the record is another group's, and leave "
            "the ensemble one after the other: nothing was done. Empty that group first (its last member leaves a backup); then "
            "adopt, and go on with `zkboot restore`"
        )
    with step("follow group"):
        records.replace(world.store, settings.cluster, record._replace(scope=me.scope), found.etag)
    return (
        f"cluster {settings.cluster} follows from group {record.scope.group} to {me.scope.group}; its instances join from now on"
    )


def still_there(world: World, record: Record, me: Me) -> list[str]:
    """Members that live, as far as EC2 knows them here, and do not belong to this node's group."""
    claimed = frozenset(claim.instance_id for claim in record.members.values())
    found = world.group.describe(claimed | {me.instance_id}).instances
    return sorted(i for i in claimed & found.keys() if found[i].state != "terminated" and not found[i].lifecycle)
