"""What row 6 has the leader do for the ensemble: one change a turn."""

from zkboot.model import Action, Change, Decision, Quorum, Role, Server
from zkboot.policy.shared import as_voters, say
from zkboot.words import Words, majority, tolerance


def kept_here(w: Words) -> str:
    """Why an instance that the group takes stays."""
    return "; the group takes this instance, which stays until the ensemble stands without it" if w.seen.taken is True else ""


def duty(w: Words) -> Decision:
    """The leader's one change of this turn: the first that applies, among nodes not being taken."""
    assert w.quorum is not None and w.own_server is not None
    configuration = w.quorum.configuration
    voters, dead, serving = configuration.voters, w.dead_voters, len(w.voters_serving)

    def change(joining: tuple[Server, ...], leaving: tuple[Server, ...], reason: str) -> Decision:
        return say(Action.RECONFIGURE, reason, Change(joining, tuple(s.id for s in leaving), configuration.version))

    if dead and w.spares:
        text = f"spare {w.name(w.spares[0])} becomes a voter for the dead {w.name(dead[0])}"
        return change(as_voters(w.spares[:1]), dead[:1], text)
    left = len(voters) - len(dead)
    if dead and left and (tolerance(serving, left) > tolerance(serving, len(voters)) or len(voters) > w.target):
        return change((), dead, f"dead voters leave: {w.names(dead)}")
    staying = [v for v in voters if not w.leaving(v)]
    if len(staying) < w.target and w.spares:
        # ZooKeeper asks for a majority of the new voters in step, and an observer does not count as that.
        if serving < majority(len(voters) + 1):
            out = w.spares[: w.target - len(staying)]
            return change((), out, f"spares {w.names(out)} leave, to come back as voters: too few vote to promote them")
        return change(as_voters(w.spares[:1]), (), f"spare {w.name(w.spares[0])} becomes a voter: {len(staying)} of {w.target}")
    if len(staying) > w.target and (surplus := demotable(w)) is not None:
        return change(
            (surplus._replace(role=Role.OBSERVER),),
            (),
            f"{w.name(surplus)} becomes a spare: {len(voters)} voters, {w.target} wanted",
        )
    gone = tuple(o for o in configuration.observers if w.server_dead(o))
    if gone:
        return change((), gone, f"dead observers leave: {w.names(gone)}")
    missing = tuple(v for v in voters if v not in w.voters_serving)
    left_over = tolerance(serving, len(voters))
    tail = (f"; not serving: {w.names(missing)}" if missing else "") + kept_here(w)
    ids = ", ".join(str(v.id) for v in voters)
    return say(Action.HEALTHY, f"healthy: server {w.own_server.id} leads, voters {ids}, tolerance {left_over}{tail}")


def demotable(w: Words) -> Server | None:
    """The voter above the target that steps back: a silent one first; a serving one only when every voter serves;
    never the leader."""
    assert w.quorum is not None
    quorum: Quorum = w.quorum
    stay = [v for v in quorum.configuration.voters if v.id != quorum.leader and not w.leaving(v) and not w.server_dead(v)]
    silent = [v for v in stay if v.id not in quorum.serving]
    if silent:
        return silent[-1]
    if len(w.voters_serving) < len(quorum.configuration.voters) or not stay:
        return None
    zones = [w.zone(v) for v in quorum.configuration.voters]
    return max(stay, key=lambda v: (zones.count(w.zone(v)), v.id))
