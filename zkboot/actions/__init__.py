"""Carry one decision out: idempotent, in named steps, each killed at any point and finished or begun anew by the next turn. No
policy.

Every function takes the same `Act` and returns the sentence to say, or None for the decision's own. `Stale` means that the world
moved on and nothing was done; `UnknownFact` that it is not known whether the last step happened. Both end the turn, and the next
one looks again. `EFFECTS`, at the end, says what carries out which action.
"""

from collections.abc import Callable

from zkboot.actions.given import Act
from zkboot.actions.lost_record import adopt
from zkboot.actions.members import join, leave, let_go, let_in, reconfigure, rejoin
from zkboot.actions.promises import obey, report_disk, withdraw
from zkboot.actions.seeding import create, prove, reseed, restore, seed, set_created
from zkboot.actions.server import await_seed, restart, start_own
from zkboot.model import Action


def act(a: Act) -> str:
    """Carry out `a.decision`; returns the sentence that tells it.

    Raises Stale, UnknownFact.
    """
    effect = EFFECTS.get(a.decision.action)
    said = effect(a) if effect else None
    return said or a.decision.reason


EFFECTS: dict[Action, Callable[[Act], str | None]] = {
    Action.OBEY: obey,
    Action.LEAVE: leave,
    Action.LET_GO: let_go,
    Action.ADOPT: adopt,
    Action.START: start_own,
    Action.REJOIN: rejoin,
    Action.RESTART: restart,
    Action.PROVE: prove,
    Action.SET_CREATED: set_created,
    Action.LET_IN: let_in,
    Action.RECONFIGURE: reconfigure,
    Action.JOIN: join,
    Action.REPORT: report_disk,
    Action.WITHDRAW: withdraw,
    Action.CREATE: create,
    Action.SEED: seed,
    Action.AWAIT_SEED: await_seed,
    Action.RESEED: reseed,
    Action.RESTORE: restore,
}
