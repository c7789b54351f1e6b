"""Who backs up, and when: pure decisions of what is seen."""

from zkboot.backup.catalogue import Catalogue
from zkboot.model import Quorum, Role

# How often the timer looks, at most, its random delay included (zkboot-backup.timer).
LOOK = 1200.0  # seconds


def order(quorum: Quorum) -> tuple[int, ...]:
    """The ids of the serving members in the order in which they are asked to back up: observers, followers, the leader last."""

    def burden(server_id: int) -> tuple[bool, bool, int]:
        server = quorum.configuration.server(server_id)
        return server_id == quorum.leader, server is None or server.role is not Role.OBSERVER, server_id

    return tuple(sorted(quorum.serving, key=burden))


def due(catalogue: Catalogue, interval: float) -> float:
    """Since how many seconds a backup is due; below 0 when none is yet. Due a look before the interval has passed, so that
    it never has when the timer comes again; without any backup that is not damaged, from the beginning, and at once after one
    that was made when the store's clock was ahead."""
    if catalogue.newest is None or catalogue.newest.as_of > catalogue.date + LOOK:
        return 0.0
    return catalogue.date - catalogue.newest.as_of - max(interval - LOOK, 0.0)


def unverified(catalogue: Catalogue) -> bool:
    """Whether the newest backup was made a look ago, and never read back: who made it did not come to that."""
    newest = catalogue.newest
    return newest is not None and newest.verified is None and catalogue.date - newest.began > LOOK


def drill_due(catalogue: Catalogue, interval: float) -> float:
    """Since how many seconds a drill of the newest backup is due; below 0 when none is yet, or there is nothing to drill."""
    if catalogue.newest is None:
        return -interval
    drilled = max((entry.drilled or 0.0 for entry in catalogue.entries), default=0.0)
    return catalogue.date - drilled - interval if drilled else 0.0


def refusal(quorum: Quorum, server_id: int | None, overdue: float) -> str:
    """Why this node is not to back up (or to drill) now, or "". The first in order is; each further one two looks later, in case
    those before it cannot."""
    names = order(quorum)
    if server_id not in names:
        return "this node is no serving member"
    waits = 2 * LOOK * names.index(server_id)
    if overdue >= waits:
        return ""
    return f"it is server {names[0]}'s turn; this one's comes in {waits - overdue:.0f} s, if it is not done by then"
