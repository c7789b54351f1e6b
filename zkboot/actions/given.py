"""What every action is given: the world, this turn, and the ensemble's password."""

from collections.abc import Callable
from typing import NamedTuple

from zkboot.errors import Stale
from zkboot.model import Decision, Me, Observation, Record, State
from zkboot.settings import Settings
from zkboot.words import Words
from zkboot.world import World


class Act(NamedTuple):
    """What an action works with: the world, and the observation and decision of this turn."""

    world: World
    settings: Settings
    seen: Observation
    words: Words
    etag: str  # of the record as it was observed
    decision: Decision
    tell: Callable[[str], None]  # says something now, before a step that takes its time or ends this machine
    keep: Callable[[], None]  # called again and again during such a step, so that the group and systemd go on waiting

    @property
    def me(self) -> Me:
        return self.seen.me

    @property
    def record(self) -> Record:
        assert self.words.record is not None
        return self.words.record


def password(a: Act) -> str:
    found = a.world.store.secret(a.settings.aws.secret)
    name = a.settings.aws.secret
    if found is None and a.words.record is not None and a.words.record.state is State.CREATED:
        raise Stale(
            f"waiting: the secret {name} is gone from SSM, and without it no member comes or goes: put a new value there, a "
            "SecureString; then `systemctl stop zookeeper` on one member after the other, and recovery starts each with it"
        )
    if found is None:
        raise Stale(f"waiting: the seed has not put the secret {name} yet")
    return found
