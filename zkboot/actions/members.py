"""Joining, reconfiguration, arrival and departure."""

from zkboot.actions.configurations import address_of, seed_alone, with_me_watching
from zkboot.actions.given import Act, password
from zkboot.actions.server import archive, release, start, stop
from zkboot.actions.writing import claim, look_again, report_joining
from zkboot.model import DiskState, Identity
from zkboot.steps import step


def join(a: Act) -> str | None:
    """Become a joiner: report `joining`, claim an id, take the promise back with it, set up, start. It cannot vote
    until it is let in."""
    disk, quorum = a.seen.disk, a.words.quorum
    stop(a)
    secret = password(a)
    foreign = disk.state is DiskState.DAMAGED or (disk.state is DiskState.DATA and not a.words.of_generation)
    if foreign:
        archive(a)
    report_joining(a)
    record, server_id = claim(a)
    known = quorum.configuration if quorum else seed_alone(a, record)
    configuration = with_me_watching(known, a.words.line(server_id, a.me.address))
    with step("set up"):
        a.world.disk.build_joiner(Identity(record.cluster_id, record.generation), server_id, configuration)
    release(a)  # last: with no promise its old volume, attached again, is started while AWS cannot be asked
    start(a, secret)
    return f"{a.decision.reason}: server {server_id} started" + (" (old data archived)" if foreign else "")


def rejoin(a: Act) -> str | None:
    """A member without a usable disk: the leader proves itself first, for a stale one and an emptied voter would be
    a majority."""
    quorum = a.words.quorum
    assert quorum is not None
    secret = password(a)
    with step("prove the leader"):
        a.world.server.prove(
            address_of(quorum.configuration, quorum.leader), secret, Identity(a.record.cluster_id, a.record.generation)
        )
    return join(a)


def reconfigure(a: Act) -> str | None:
    quorum, change = a.words.quorum, a.decision.change
    assert quorum is not None and change is not None
    if a.words.own_server is None:
        look_again(a)  # a seed shows the generation of before until its proof: who was let in by that would stop as one of that
    with step("reconfigure"):
        after = a.world.server.reconfigure(through(a), password(a), change)
    voters = ", ".join(str(v.id) for v in after.voters)
    return f"{a.decision.reason}; voters now {voters}"


def through(a: Act) -> str:
    """The server to ask: the leader, unless its own part changes; then another voter that serves. A client of a server whose role
    changes loses its connection although the change is made."""
    quorum, change = a.words.quorum, a.decision.change
    assert quorum is not None and change is not None
    changing = {s.id for s in change.joining} | set(change.leaving)
    order = [quorum.leader, *sorted(v.id for v in quorum.configuration.voters if v.id in quorum.serving)]
    chosen = next((i for i in order if i not in changing), quorum.leader)
    return address_of(quorum.configuration, chosen)


def let_in(a: Act) -> str:
    hook = a.settings.aws.launch_hook
    with step("let in"):
        completed = a.world.group.complete(hook)
    stays = f"; no hook {hook} waits for it: where the group goes on saying Pending:Wait, correct aws.launch_hook"
    return a.decision.reason + ("" if completed else stays)


def leave(a: Act) -> str | None:
    """Out of the configuration, and stopped; the next turn lets go."""
    said = reconfigure(a)
    stop(a)
    return said


def let_go(a: Act) -> str | None:
    stop(a)
    a.tell(a.decision.reason)
    if a.decision.back_up:
        with step("last backup"):
            a.world.backups.last(a.tell)
    with step("let go"):
        a.world.group.complete(a.settings.aws.termination_hook)
    return None
