"""Policies known to be bad, under random schedules: each must lose writes, make two ensembles or never become well, and soon.

`python -m tests.sim.known_bad` prints after how many schedules each does.
"""

import argparse
from typing import Any, NamedTuple

from tests.sim import chaos, switches
from tests.sim.switches import Switch
from zkboot import reconcile
from zkboot.model import DiskState
from zkboot.notes import Notes
from zkboot.observe import Seen
from zkboot.settings import Settings
from zkboot.words import NO_QUORUM
from zkboot.world import World

MOST = 3_000


class Bad(NamedTuple):
    words: str
    switch: Switch


class Loss(NamedTuple):
    """The first loss: after how many schedules, and what."""

    schedules: int
    found: str


REGISTER: Any = reconcile.register


def wipes_when_alone(world: World, settings: Settings, notes: Notes, found: Seen) -> Seen:
    """Whoever has seen no leader for a while begins with an empty disk."""
    seen = found.observation
    alone = seen.held.get(NO_QUORUM)
    if seen.quorum is None and alone and alone.seconds > seen.limits.staleness and seen.disk.state is DiskState.DATA:
        world.server.stop()
        world.disk.archive()
        found = Seen(seen._replace(disk=world.disk.read(), server=world.server.process()), found.etag)
    registered: Seen = REGISTER(world, settings, notes, found)
    return registered


BAD: tuple[Bad, ...] = (
    Bad("wipes its disk when it sees no leader", [(reconcile, "register", wipes_when_alone)]),
    Bad("takes whoever does not answer for dead", switches.SILENT_IS_DEAD),
    Bad("knows no generation", switches.ANY_GENERATION),
    Bad("counts `empty` reports that are no longer true", switches.JOINED_UNREPORTED),
    Bad("keeps no promise", switches.NO_PROMISE),
    Bad("counts the voters from who is present", switches.VOTERS_PRESENT),
)


def first_loss(bad: Bad) -> Loss | None:
    with switches.off(bad.switch):
        for seed in range(MOST):
            found = chaos.run(seed).found
            if found:
                return Loss(seed + 1, found[0].splitlines()[0])
    return None


def main() -> int:
    about = "After how many random schedules each bad policy loses something."
    argparse.ArgumentParser(prog="python -m tests.sim.known_bad", description=about).parse_args()
    for bad in BAD:
        loss = first_loss(bad)
        print(f"{bad.words:<50} {f'after {loss.schedules}: {loss.found}' if loss else f'nothing in {MOST}'}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
