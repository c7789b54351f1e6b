"""Why the rows above the one that matched did not: each row's guard as the list of its conditions, in words. Pure.

The conditions of a row together say what its guard in `policy` says; a test holds the two against each other over the whole
space of observations.
"""

from collections.abc import Callable

from zkboot.model import DiskState, Observation, Quorum, State
from zkboot.policy import alone, beginning, belonging, leaving, lost, member, newcomer
from zkboot.words import Words

Condition = tuple[str, Callable[[Words], bool]]


def not_created(w: Words) -> bool:
    return w.record is not None and w.record.state is not State.CREATED


QUORUM: Condition = ("an ensemble of this generation is seen to serve", lambda w: isinstance(w.seen.quorum, Quorum))
NO_QUORUM: Condition = ("no ensemble is seen to serve", lambda w: w.seen.quorum is None)
MEMBER: Condition = ("its configuration has this node, by its own id and address", lambda w: w.own_server is not None)
NO_RECORD: Condition = ("there is no record", lambda w: w.seen.record is None)
UNFINISHED: Condition = ("the record's generation is not created yet", not_created)
ELSE: Condition = ("no row above matched", lambda w: True)


CONDITIONS: dict[int, tuple[Condition, ...]] = {
    1: (("two things belong to different clusters or scopes, or a person's command stands in the record", belonging.row_1),),
    2: (
        ("the group takes this instance", lambda w: w.seen.taken is True),
        ("it holds nothing, or the ensemble stands without it, or the group goes to zero", leaving.row_2),
    ),
    3: (QUORUM, NO_RECORD),
    4: (
        QUORUM,
        MEMBER,
        ("its server is stopped, or nobody has taken it in and it does not serve as zkboot's own", member.idle),
        ("it is known what its disk holds", lambda w: w.seen.disk.state is not DiskState.UNKNOWN),
    ),
    5: (QUORUM, MEMBER, ("its server runs and does not serve", lambda w: w.seen.server.running and not w.serves)),
    6: (QUORUM, MEMBER, ("its server serves", lambda w: w.serves)),
    7: (QUORUM, ("a fact that decides this node's place is unknown", lambda w: bool(newcomer.undecided(w)))),
    8: (QUORUM,),
    9: (
        (
            "no ensemble is seen to serve, or for longer than a start takes it is unknown whether one does",
            lambda w: w.quorum is None and not alone.too_soon_to_tell(w),
        ),
        ("no promise of an empty disk stands", lambda w: not w.promised),
        (
            "the disk is loadable, or the fenced one of a creation's seed",
            lambda w: w.seen.disk.state is DiskState.DATA or w.fenced_creation,
        ),
        ("a configuration names this node", alone.named),
        ("the record names the disk's generation behind its fence, or cannot be read and never gave it up", alone.record_lets),
        (
            "the server is stopped, or for longer than a start takes stuck, or leading without a commit",
            lambda w: not w.seen.server.running or alone.stuck(w),
        ),
    ),
    10: (NO_QUORUM, ("the own report is known to be no longer true", alone.row_10)),
    11: (("a fact that decides is unknown", lambda w: bool(alone.unknown(w))),),
    12: (NO_RECORD, ("something of an ensemble remains", lambda w: bool(beginning.remains(w)))),
    13: (NO_RECORD, ("fewer instances are registered than the group desires, or this one may not create", beginning.row_13)),
    14: (NO_RECORD,),
    15: (
        UNFINISHED,
        ("this node is its seed", lambda w: w.is_seed),
        ("the seed's fence is not set", lambda w: w.record is not None and not w.record.started),
        (
            "the seed's disk can be built, or its report is not true",
            lambda w: beginning.buildable(w) or not beginning.reported_true(w),
        ),
    ),
    16: (
        UNFINISHED,
        ("another node is its seed", lambda w: not w.is_seed),
        ("that seed is neither dead nor empty, nor of another disk", lambda w: not w.seed_gone),
        ("no disk of the generation has a voter but the seed", lambda w: w.seed_alone),
    ),
    17: (("enough voters remain to elect", lambda w: not w.too_few),),
    18: (("the grace is not over, or a living member's report is awaited", lost.row_18),),
    19: (
        ("a living member or an archive holds data that counts", lambda w: bool(w.holdings)),
        ("no backup is ahead of it", lambda w: not lost.backup_is_ahead(w)),
    ),
    20: (("a verified backup is ahead, and auto_restore allows its age", lost.row_20),),
    21: (("the generation was never created, and nothing of it exists anywhere", lost.row_21),),
    22: (ELSE,),
}


def failing(number: int, words: Words) -> str:
    """The first condition of that row that does not hold; "" when all do."""
    return next((text for text, holds in CONDITIONS[number] if not holds(words)), "")


def why_not(seen: Observation, row: int) -> list[tuple[int, str]]:
    """For each row above the one that matched: its number, and the condition that does not hold."""
    words = Words(seen)
    return [(number, failing(number, words)) for number in range(1, row)]
