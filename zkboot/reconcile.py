"""The loop: observe, decide, act; one sentence a turn. First boot, each minute and after a reboot are the same reconciliation."""

from collections.abc import Callable
from typing import NamedTuple

from zkboot import record as records
from zkboot import systemd
from zkboot.actions import act
from zkboot.actions.given import Act
from zkboot.actions.writing import put_report, says
from zkboot.errors import DONE, FAILED, HALTED, WAITING, SettingsError, Stale, ZkbootError
from zkboot.model import Action, Decision, DiskState, Holds, Mode, Observation, Quorum, State, Unknown
from zkboot.notes import Notes
from zkboot.observe import Seen, learn, observe
from zkboot.policy import decide
from zkboot.settings import Settings
from zkboot.steps import step
from zkboot.words import TOO_FEW, Words
from zkboot.world import World

Say = Callable[["Turn"], None]
# Rows that wait for a server, this node's or another's, to get on: that is watched without AWS.
WATCHED_ROWS = (5, 6, 8, 16, 17)
IDLE = (Action.WAIT, Action.HALT, Action.HEALTHY)
GLANCE = 0.05  # seconds between two looks at the servers, longer the longer it lasts
ASK_GROUP = 30.0  # seconds from one look into the group's activity log to the next
KEEP = 10.0  # seconds from one sign of life to the next during an action that takes its time
PATIENCE = 600.0  # seconds without such a sign after which systemd ends zkboot, as its unit has it for a whole turn


class Turn(NamedTuple):
    """One turn's result: what was seen and decided (None when not even that was possible), and the sentence that tells it."""

    observation: Observation | None
    decision: Decision
    sentence: str
    beaten: bool = False  # another node was first, or the ensemble refused for now: nothing was done

    @property
    def exit_code(self) -> int:
        if self.decision.action is Action.HALT:
            return HALTED
        return DONE if self.decision.action is Action.HEALTHY else WAITING


def plan(world: World, settings: Settings) -> Turn:
    """Observe and decide; change nothing, note nothing."""
    seen = observe(world, settings, Notes(world)).observation
    decision = decide(seen)
    return Turn(seen, decision, decision.reason)


def silence(latest: Turn) -> None:
    """Says nothing."""


def turn(world: World, settings: Settings, say: Say = silence) -> Turn:
    """One reconciliation. Never raises for what the world does; the sentence says it. `say` is called before a step that ends the
    machine; what is said anyway after the turn is the caller's. Raises SettingsError: waiting would not mend them."""
    try:
        notes = Notes(world)
        found, decision = look(world, settings, notes)
    except SettingsError:
        raise
    except ZkbootError as e:
        return Turn(None, Decision(row=0, action=Action.WAIT, reason=str(e)), str(e))
    try:
        sentence = carry_out(world, settings, notes, found, decision, say)
        return Turn(found.observation, decision, sentence)
    except Stale as e:
        return Turn(found.observation, decision, str(e), beaten=True)
    except ZkbootError as e:
        return Turn(None, Decision(row=0, action=Action.WAIT, reason=str(e)), str(e))


def look(world: World, settings: Settings, notes: Notes) -> tuple[Seen, Decision]:
    """Observe, mark a disk whose generation is over, keep the own report true, decide, and note since when what holds."""
    found = register(world, settings, notes, mark_over(world, observe(world, settings, notes)))
    seen = found.observation
    decision = decide(seen)
    note(world, settings, notes, decision)
    if decision.action is not Action.HEALTHY:
        notes.state["healthy"] = False
    words = Words(seen)
    if words.serves and words.quorum is not None:
        notes.state["restarts"] = 0
    notes.save()
    return found, decision


def mark_over(world: World, found: Seen) -> Seen:
    """What was read of the record must outlast the next turn, which may not be able to read it: before anything is done by it."""
    seen = found.observation
    if seen.disk.over or not Words(seen).outlived:
        return found
    with step("mark over"):
        world.disk.mark_over()
    return Seen(seen._replace(disk=seen.disk._replace(over=True)), found.etag)


def note(world: World, settings: Settings, notes: Notes, decision: Decision) -> None:
    """Time the conditions that hold. That too few voters remain is weighed against S3's clock: undated, it begins with the next
    turn."""
    if not notes.is_new(decision.noted):
        notes.note(decision.noted, 0.0)
        return
    found = learn(lambda: world.store.get(records.record_key(settings.cluster)))
    if isinstance(found, Unknown):
        notes.note(tuple(c for c in decision.noted if not c.startswith(TOO_FEW) or not notes.is_new((c,))), 0.0)
        return
    # Without a record nobody weighs a report: any date serves.
    notes.note(decision.noted, found.date if found else 0.0)


def carry_out(world: World, settings: Settings, notes: Notes, found: Seen, decision: Decision, say: Say) -> str:
    seen = found.observation
    words = Words(seen)
    if decision.action in (Action.RESTART, Action.JOIN, Action.REJOIN) and seen.server.running:
        notes.state["restarts"] = seen.restarts + 1
        notes.save()
    told = Turn(seen, decision, decision.reason)
    hook = hook_to_keep(settings, words, decision)
    tell, keep = lambda text: say(told._replace(sentence=text)), keeper(world, hook)
    sentence = act(Act(world, settings, seen, words, found.etag, decision, tell, keep))
    if hook:
        with step("heartbeat"):
            kept = learn(lambda: world.group.heartbeat(hook))
        if isinstance(kept, Unknown):  # what was done is done, and said
            sentence = f"{sentence}; the hook {hook} could not be kept waiting: {kept.why}"
    if decision.action is Action.HEALTHY:
        report_membership(world, settings, seen, words)
        settle_light(notes, words)
        notes.save()
    return sentence


def report_membership(world: World, settings: Settings, seen: Observation, words: Words) -> None:
    """With a quorum a report is written when the membership changed, so that whoever is left alone knows who the voters were; and
    when the data was taken in."""
    disk, report = seen.disk, words.own_report
    if isinstance(seen.reports, Unknown) or disk.state is not DiskState.DATA or disk.data is None or words.promised:
        return
    now = disk.identity, disk.data.told.committed
    if report is None or report.data is None or (report.identity, report.data.committed) != now:
        with step("report membership"):
            put_report(world, settings, seen, words, Holds.DATA)


def keeper(world: World, hook: str) -> Callable[[], None]:
    """What an action calls, as often as it likes, while it takes its time: whoever waits for this node goes on waiting."""
    kept = world.clock.monotonic()

    def keep() -> None:
        nonlocal kept
        if world.clock.monotonic() - kept < KEEP:
            return
        kept = world.clock.monotonic()
        systemd.ask_for_time(PATIENCE)
        if hook:
            with step("heartbeat"):
                learn(lambda: world.group.heartbeat(hook))

    return keep


def hook_to_keep(settings: Settings, words: Words, decision: Decision) -> str:
    """The hook whose time must not end now: the group would end an instance that cannot go yet, that has data and is not let in,
    or that restores a backup or waits for its seed to have done so."""
    seen, group = words.seen, words.group
    if seen.taken is True:
        return "" if decision.action in (Action.LET_GO, Action.LEAVE) else settings.aws.termination_hook
    own = group.instances.get(seen.me.instance_id) if group else None
    waits = own is not None and own.lifecycle == "Pending:Wait" and decision.action is not Action.LET_IN
    restoring = words.record is not None and words.record.state is State.RESTORING
    return settings.aws.launch_hook if waits and (restoring or seen.disk.state is DiskState.DATA) else ""


def settle_light(notes: Notes, words: Words) -> None:
    """What lets the next turns end without asking AWS. They time nothing, and so follow one that left nothing to be timed."""
    notes.state["healthy"] = True
    record, own, group = words.record, words.own_server, words.group
    if record is None or own is None or record.state is not State.CREATED:
        return
    instance = group.instances.get(words.seen.me.instance_id) if group else None
    assert words.quorum is not None
    notes.state |= {"created": record.generation, "server_id": own.id, "address": own.address}
    # A person's command is written into the record, then the configuration is put again. A turn that meets the new version may
    # have read the record before that; the next one has not.
    version = words.quorum.configuration.version
    if notes.state.get("met_version") == version:
        notes.state["version"] = version
    notes.state["met_version"] = version
    if instance is not None:
        notes.state["let_in"] = instance.lifecycle in ("", "InService")
        notes.mark("audited")


# --- the own report


def register(world: World, settings: Settings, notes: Notes, found: Seen) -> Seen:
    """Without a quorum: the own report written at the start, and again every so often, as long as it is true.

    What changes a report's meaning (an `empty` taken back, a `joining` that is over) is a row of the policy, not done here.
    """
    seen = found.observation
    if seen.quorum is not None or isinstance(seen.reports, Unknown) or isinstance(seen.record, Unknown):
        return found
    words = Words(seen)
    holds = refreshed(seen, words, notes.reported() >= seen.limits.report)
    if holds is None:
        return found
    if seen.disk.state is DiskState.DAMAGED:
        with step("archive damaged"):
            world.disk.archive()
        seen = seen._replace(disk=world.disk.read())
        holds = says(seen)
    with step("register"):
        report = put_report(world, settings, seen, words, holds)
    notes.mark("reported")
    disk = seen.disk._replace(promised=seen.disk.promised or report.holds is Holds.EMPTY)
    return Seen(seen._replace(reports={**words.reports, seen.me.instance_id: report}, disk=disk), found.etag)


def refreshed(seen: Observation, words: Words, due: bool) -> Holds | None:
    """What to report now, or None when the report stands as it is."""
    report, truth = words.own_report, says(seen)
    if seen.server.running and seen.disk.state is not DiskState.DATA:
        return None  # a running server's disk is judged when it stopped: `empty` promises that it is
    if words.record is not None and words.record.intent is not None:
        return None
    if report is None and seen.disk.promised:
        return Holds.EMPTY  # what was promised stands, whatever became of the report and of the disk
    if report is None or report.holds is Holds.UNKNOWN:
        return truth if report is None or truth is not Holds.UNKNOWN or due else None
    if report.holds is Holds.DATA:
        return truth if due or truth is not Holds.DATA else None
    if report.holds is Holds.EMPTY and seen.disk.state is DiskState.EMPTY:
        # Killed right after its data was archived: that promise still names the disk, and nobody the archive. Or it is gone.
        told = {archive.name for archive in report.archives}
        return Holds.EMPTY if report.data is not None or {archive.name for archive in seen.disk.archives} - told else None
    return None


# --- the commands


def repeat(world: World, settings: Settings, say: Say, seconds: float, done: Callable[[Turn], bool]) -> Turn:
    """Turns until one is done or the time is over; what changes is followed at once, what waits after a pause."""
    end, before = world.clock.monotonic() + seconds, None
    while True:
        latest = turn(world, settings, say)
        say(latest)
        if done(latest) or world.clock.monotonic() >= end:
            return latest
        decided = (latest.decision.row, latest.decision.action)
        if decided == before or latest.decision.action in IDLE or latest.observation is None:
            rest(world, settings, latest)
        elif latest.beaten:
            world.clock.sleep(settings.timing.turn_pause / 10)
        before = decided
        if world.clock.monotonic() >= end:
            return latest


def rest(world: World, settings: Settings, latest: Turn) -> None:
    """A turn's pause; cut short where a server was waited for and gets on."""
    seen, end = latest.observation, world.clock.monotonic() + settings.timing.turn_pause
    if seen is None or latest.decision.action is not Action.WAIT or latest.decision.row not in WATCHED_ROWS:
        world.clock.sleep(settings.timing.turn_pause)
        return
    watched = watch_addresses(seen)
    before, pause = glance(world, watched, seen), GLANCE
    while world.clock.monotonic() < end and glance(world, watched, seen) == before:
        world.clock.sleep(pause)
        pause = min(pause * 1.3, 1.0)


def watch_addresses(seen: Observation) -> frozenset[str]:
    """This node, and the members that may still answer."""
    words = Words(seen)
    claims = words.record.members.values() if words.record else ()
    return frozenset({seen.me.address, *(c.address for c in claims if not words.dead(c.instance_id))})


def glance(world: World, addresses: frozenset[str], seen: Observation) -> dict[str, tuple[Mode, int] | None]:
    """What each server says of itself; while nothing is proved yet, its last transaction too, for the proof is one."""
    proved = isinstance(seen.quorum, Quorum)
    answers = world.server.ask(addresses)
    return {address: (peer.mode, 0 if proved else peer.zxid) if peer else None for address, peer in answers.items()}


def wait(world: World, settings: Settings, say: Say) -> int:
    """Until as many instances are registered as the group desires, or a record or a quorum exists."""
    begun = asked = world.clock.monotonic()
    reason = ""
    while True:
        try:
            found, decision = look(world, settings, Notes(world))
            latest = Turn(found.observation, decision, decision.reason)
        except SettingsError:
            raise
        except ZkbootError as e:
            latest = Turn(None, Decision(row=11, action=Action.WAIT, reason=str(e)), str(e))
        if latest.decision.action is Action.HALT:
            say(latest)
            return HALTED
        if latest.observation is not None and latest.decision.row not in (7, 11, 13):
            return DONE
        over = world.clock.monotonic() - begun >= settings.timing.bootstrap_timeout
        if over or world.clock.monotonic() - asked >= ASK_GROUP:
            asked, reason = world.clock.monotonic(), of_the_missing(world, latest)
        latest = latest._replace(sentence=latest.sentence + reason)
        if over:
            say(gave_up(settings, latest, " and created nothing"))
            return FAILED
        say(latest)
        world.clock.sleep(settings.timing.turn_pause)


def of_the_missing(world: World, latest: Turn) -> str:
    """Why instances are missing: where the group has not launched them, what its own activity log says; else where to look."""
    group = Words(latest.observation).group if latest.observation is not None else None
    if latest.decision.row != 13 or group is None:
        return ""
    if group.desired <= sum(bool(i.lifecycle) for i in group.instances.values()):
        return "; /var/log/cloud-init-output.log on each of these tells why"
    reason = learn(world.group.activity)
    if isinstance(reason, Unknown):
        return f"; what the group says to that is unknown ({reason.why})"
    return f"; the group says: {reason}" if reason else "; the group's activity log names no launch that failed"


def gave_up(settings: Settings, latest: Turn, result: str = "") -> Turn:
    """The last sentence of a wait in vain."""
    why = latest.sentence.removeprefix("waiting: ")
    return latest._replace(sentence=f"gave up after {settings.timing.bootstrap_timeout:.0f} s{result}: {why}")


def bootstrap(world: World, settings: Settings, say: Say) -> int:
    """Until this node serves as a member and the group may count it."""
    timeout = settings.timing.bootstrap_timeout
    latest = repeat(world, settings, news(say), timeout, lambda t: settled(t) or t.decision.action is Action.HALT)
    if latest.exit_code != WAITING:
        return latest.exit_code
    say(gave_up(settings, latest._replace(sentence=latest.sentence + of_the_missing(world, latest))))
    return FAILED


def news(say: Say) -> Say:
    """`say`, without the `healthy` that follows a deed at once: the deed was the end, and a boot's last line is `timers`'s."""
    before = Action.WAIT

    def tell(latest: Turn) -> None:
        nonlocal before
        if latest.decision.action is not Action.HEALTHY or before in IDLE:
            say(latest)
        before = Action.WAIT if latest.beaten else latest.decision.action

    return tell


def recover(world: World, settings: Settings, say: Say) -> int:
    """Until all is settled, at most until the next tick."""
    return repeat(world, settings, say, settings.timing.recover_interval, settled).exit_code


def leave(world: World, settings: Settings, say: Say) -> int:
    """As if the group were taking this instance: out of the configuration, stopped, the hook let go."""
    leaving = world._replace(metadata=Leaving(world))
    latest = repeat(
        leaving,
        settings,
        say,
        settings.timing.bootstrap_timeout,
        gone,
    )
    return DONE if gone(latest) else max(latest.exit_code, WAITING)


def gone(latest: Turn) -> bool:
    return latest.decision.action is Action.LET_GO and not latest.beaten


class Leaving:
    """The metadata of a node that a person takes out."""

    def __init__(self, world: World) -> None:
        self.me = world.metadata.me

    def taken(self) -> bool:
        return True


def settled(latest: Turn) -> bool:
    """Healthy, and nothing left to do that the next turn would do at once."""
    return latest.decision.action is Action.HEALTHY
