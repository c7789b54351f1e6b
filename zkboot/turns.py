"""Turns, one after the other: until the group is there, until this node serves, until all is settled, until it has gone."""

from collections.abc import Callable

from zkboot.errors import DONE, FAILED, HALTED, WAITING, SettingsError, ZkbootError
from zkboot.model import Action, Decision, Mode, Observation, Quorum, Unknown
from zkboot.notes import Notes
from zkboot.observe import learn
from zkboot.reconcile import Say, Turn, look, turn
from zkboot.settings import Settings
from zkboot.words import Words
from zkboot.world import World

# Rows that wait for a server, this node's or another's, to get on: that is watched without AWS.
WATCHED_ROWS = (5, 6, 8, 16, 17)
IDLE = (Action.WAIT, Action.HALT, Action.HEALTHY)
GLANCE = 0.05  # seconds between two looks at the servers, longer the longer it lasts
ASK_GROUP = 30.0  # seconds from one look into the group's activity log to the next


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
    latest = repeat(leaving, settings, say, settings.timing.bootstrap_timeout, gone)
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
