"""One turn of the loop: observe, decide, act; one sentence. First boot, each minute and after a reboot are the same."""

from collections.abc import Callable
from typing import NamedTuple

from zkboot import record as records
from zkboot import systemd
from zkboot.actions import act
from zkboot.actions.given import Act
from zkboot.actions.writing import put_report, says
from zkboot.errors import DONE, HALTED, WAITING, SettingsError, Stale, ZkbootError
from zkboot.model import Action, Decision, DiskState, Holds, Observation, State, Unknown
from zkboot.notes import Notes
from zkboot.observe import Seen, learn, observe
from zkboot.policy import decide
from zkboot.settings import Settings
from zkboot.steps import step
from zkboot.words import TOO_FEW, Words
from zkboot.world import World

Say = Callable[["Turn"], None]
KEEP = 10.0  # seconds from one sign of life to the next during an action that takes its time
PATIENCE = 600.0  # seconds without such a sign after which systemd ends zkboot, as its unit has it for a whole turn


class Turn(NamedTuple):
    """One turn's result: what was seen (None when that was not possible), what was decided, and the sentence that tells it."""

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
    """One reconciliation. Never raises for what the world does; the sentence says it. `say` is called before a step that takes
    its time or ends the machine; what is said anyway after the turn is the caller's. Raises SettingsError: waiting mends none."""
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
    if report.holds is Holds.EMPTY and seen.disk.state is DiskState.DAMAGED:
        return Holds.EMPTY if report.data is not None else None  # the data that it stood still with is not there any more
    if report.holds is Holds.EMPTY and seen.disk.state is DiskState.EMPTY:
        # Killed right after its data was archived: that promise still names the disk, and nobody the archive. Or it is gone.
        told = {archive.name for archive in report.archives}
        return Holds.EMPTY if report.data is not None or {archive.name for archive in seen.disk.archives} - told else None
    return None
