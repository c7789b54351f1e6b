"""The whole policy: `decide` reads one observation and takes the first row that matches.

The invariant that every row keeps: a server starts from nothing only as the seed of a generation, named in the record by
compare-and-set, or as a joiner that cannot vote; and a generation is only replaced when too few of its voters remain to elect.
Nothing here acts, waits or reads a clock. A row is a guard and a sentence; its number is its place in the table, `ROWS`, at the
end, which names the module that it stands in. Rows 9 to 22 are without a quorum.
"""

from collections.abc import Callable
from typing import NamedTuple

from zkboot.model import Decision, Observation, Unknown
from zkboot.policy import alone, beginning, belonging, leaving, lost, member, newcomer
from zkboot.words import ALONE, NO_QUORUM, SILENT, TOO_FEW, UNSEEN, Words, absent, too_few_at, unclaimed


class Row(NamedTuple):
    """One line of the policy table."""

    number: int
    when: Callable[[Words], bool]
    then: Callable[[Words], Decision]


def decide(seen: Observation, rows: tuple[Row, ...] | None = None) -> Decision:
    """The first row that matches; total. `rows` is the table to read (the tests read mutilated ones)."""
    words = Words(seen)
    for row in rows or ROWS:
        if row.when(words):
            return row.then(words)._replace(row=row.number, noted=noted(words))
    raise AssertionError("no row matched: the last one matches everything")


def noted(w: Words) -> tuple[str, ...]:
    """The conditions whose duration later turns weigh: those true now, and those held so far whose truth is unknown now."""
    held = w.seen.held
    found = [SILENT] if w.seen.server.running and not w.serves else []
    found += [UNSEEN] if w.quorum is None else []
    if isinstance(w.seen.quorum, Unknown):
        return (*found, *(name for name in held if name not in (NO_QUORUM, SILENT, UNSEEN) and not name.startswith(TOO_FEW)))
    if w.quorum is None:
        readable = not isinstance(w.seen.reports, Unknown) and w.group is not None
        found += [NO_QUORUM]
        if w.record is not None and readable:
            found += [too_few_at(w.record.revision)] if w.too_few else []
        else:
            found += [name for name in held if name.startswith(TOO_FEW)]
    elif newcomer.waits_alone(w):
        found += [ALONE]
    if w.record is None or w.group is None or not w.group.lists_me:
        return (*found, *(name for name in held if name.startswith(absent(""))))
    # One that EC2 still lists as terminated counts too: it forgets such an instance later, and then nothing must begin anew.
    listed = w.group.instances
    unnamed = w.voters if w.quorum is None else unclaimed(w.record, w.quorum.configuration)
    holders = {c.instance_id for c in w.record.members.values()} | {h for s in unnamed if (h := w.instance_of(s)) is not None}
    gone = (i for i in sorted(holders) if i not in listed or listed[i].state == "terminated")
    return (*found, *(absent(i) for i in gone))


ROWS: tuple[Row, ...] = (
    Row(1, belonging.row_1, belonging.then_1),
    Row(2, leaving.row_2, leaving.then_2),
    Row(3, member.row_3, member.then_3),
    Row(4, member.row_4, member.then_4),
    Row(5, member.row_5, member.then_5),
    Row(6, member.row_6, member.then_6),
    Row(7, newcomer.row_7, newcomer.then_7),
    Row(8, newcomer.row_8, newcomer.then_8),
    Row(9, alone.row_9, alone.then_9),
    Row(10, alone.row_10, alone.then_10),
    Row(11, alone.row_11, alone.then_11),
    Row(12, beginning.row_12, beginning.then_12),
    Row(13, beginning.row_13, beginning.then_13),
    Row(14, beginning.row_14, beginning.then_14),
    Row(15, beginning.row_15, beginning.then_15),
    Row(16, beginning.row_16, beginning.then_16),
    Row(17, lost.row_17, lost.then_17),
    Row(18, lost.row_18, lost.then_18),
    Row(19, lost.row_19, lost.then_19),
    Row(20, lost.row_20, lost.then_20),
    Row(21, lost.row_21, lost.then_21),
    Row(22, lost.row_22, lost.then_22),
)
