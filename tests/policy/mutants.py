"""Mutilated policies: each row removed, each guard negated, and words bent by hand. Every one must break an invariant by its
name.

A mutant is tried on a fixed subsample of the space: a stride of every part, and of every row, action, unknown fact and kind
of reason the first few dozen. Only decisions
that differ from the whole policy's are held against the invariants. `python -m tests.policy.mutants` prints the table.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple
from unittest.mock import patch

from tests.patching import everywhere
from tests.policy.facts import Facts
from tests.policy.invariants import breaks, by_action
from tests.policy.proof import INVARIANTS, TOTAL
from tests.policy.scenery import Situation, observe
from tests.policy.space import (
    PIECES,
    alone_first_creation,
    alone_what_others_built,
    among_newcomers,
    among_what_others_built,
    crossed,
    piece,
)
from zkboot import policy
from zkboot.model import Action, DiskState, Holds, Observation, Record, Unknown
from zkboot.policy import ROWS, Row, alone, decide, lost
from zkboot.policy.shared import say, untaken
from zkboot.words import ADOPTED, NO_QUORUM, TOO_FEW, Words, absent, majority

STRIDE, MOST, DRAWN = 11, 45, 3_000
SMALL = (alone_first_creation, alone_what_others_built, among_newcomers, among_what_others_built)
Patch = tuple[object, str, object]


class Mutant(NamedTuple):
    name: str
    rows: tuple[Row, ...] = ROWS
    patches: tuple[Patch, ...] = ()


class Trial(NamedTuple):
    """What became of a mutant: the invariants it broke (by how many situations), and how often it raised instead of deciding."""

    mutant: str
    killers: Counter[str]
    raised: int
    changed: int


# --- rows


def without(number: int) -> Mutant:
    return Mutant(f"row {number} removed", tuple(r for r in ROWS if r.number != number))


def negated(number: int) -> Mutant:
    def turned(row: Row) -> Row:
        return row._replace(when=lambda w: not row.when(w)) if row.number == number else row

    return Mutant(f"row {number} negated", tuple(map(turned, ROWS)))


# --- words, bent by hand

Bent = Callable[[Words], Any]


def word(sentence: str, name: str, bent: Callable[..., Any]) -> Mutant:
    """A word of `Words` replaced: a property where the original is one, else a method."""
    fact = isinstance(vars(Words)[name], cached_property)
    return Mutant(sentence, patches=((Words, name, property(bent) if fact else bent),))


def helper(sentence: str, name: str, bent: Callable[..., Any]) -> Mutant:
    """A function of `zkboot.policy` replaced."""
    return Mutant(sentence, patches=tuple(everywhere(policy, name, bent)))


def row_is(sentence: str, number: int, when: Callable[[Words], bool]) -> Mutant:
    return Mutant(sentence, tuple(r._replace(when=when) if r.number == number else r for r in ROWS))


ORIGINAL: dict[str, Any] = {
    name: vars(Words)[name].func if isinstance(vars(Words)[name], cached_property) else vars(Words)[name]
    for name in ("dead", "spares", "registered", "voters", "holdings", "lost", "promised", "living", "disks")
}


ORIGINAL_UNTAKEN = untaken


def listed(w: Words, instance: str) -> str | None:
    found = w.group.instances.get(instance) if w.group else None
    return found.state if found else None


def gone_if_not_running(w: Words, instance: str) -> bool:
    return listed(w, instance) in ("stopped", "terminated") or bool(ORIGINAL["dead"](w, instance))


def gone_if_being_taken(w: Words, instance: str) -> bool:
    return (
        instance != w.seen.me.instance_id
        and w.group is not None
        and ((i := w.group.instances.get(instance)) is not None and i.lifecycle.startswith("Terminating"))
    ) or bool(ORIGINAL["dead"](w, instance))


def gone_at_once(w: Words, instance: str) -> bool:
    missing = w.group is not None and w.group.lists_me and instance not in w.group.instances and instance != w.seen.me.instance_id
    return missing or bool(ORIGINAL["dead"](w, instance))


def gone_by_any_answer(w: Words, instance: str) -> bool:
    held = w.seen.held.get(absent(instance))
    missing = w.group is not None and instance not in w.group.instances and instance != w.seen.me.instance_id
    return (missing and held is not None and held.seconds > 14) or bool(ORIGINAL["dead"](w, instance))


def gone_though_just_claimed(w: Words, instance: str) -> bool:
    return w.group is not None and w.group.lists_me and gone_by_any_answer(w, instance)


def speaks_without_freshness(w: Words, instance: str) -> bool:
    report = w.reports.get(instance)
    return report is not None and report.holds in (Holds.EMPTY, Holds.DATA)


def speaks_at_any_revision(w: Words, instance: str) -> bool:
    report, since = w.reports.get(instance), w.found_too_few
    fresh = report is not None and since is not None and report.read > since.since
    return report is not None and (report.holds is Holds.EMPTY or (report.holds is Holds.DATA and fresh))


def empty_needs_freshness(w: Words, instance: str) -> bool:
    report, since = w.reports.get(instance), w.found_too_few
    return report is not None and since is not None and report.read > since.since and report.holds in (Holds.EMPTY, Holds.DATA)


def found_at_any_revision(w: Words) -> Any:
    return next((held for name, held in w.seen.held.items() if name.startswith(TOO_FEW)), None)


def promise_ended_by_any_fence(w: Words) -> bool:
    if w.own_report is not None and w.own_report.holds is Holds.EMPTY:
        return True
    fenced = w.is_seed and w.of_generation and w.record is not None and w.record.started
    return w.seen.disk.promised and not (fenced and w.own_report is not None)


def any_report_speaks(w: Words, instance: str) -> bool:
    return instance in w.reports


def voters_present(w: Words) -> Any:
    """Only those that are there, as tools that size an ensemble by who answers."""
    return tuple(v for v in ORIGINAL["voters"](w) if not w.lost(v))


def lost_if_silent(w: Words, server: Any) -> bool:
    holder = w.instance_of(server)
    report = w.reports.get(holder) if holder else None
    return report is None or report.holds in (Holds.EMPTY, Holds.UNKNOWN) or bool(ORIGINAL["lost"](w, server))


def lost_if_joining(w: Words, server: Any) -> bool:
    holder = w.instance_of(server)
    report = w.reports.get(holder) if holder else None
    return (report is not None and report.holds is Holds.JOINING) or bool(ORIGINAL["lost"](w, server))


def lost_only_if_dead(w: Words, server: Any) -> bool:
    return w.server_dead(server)


def spares_in_any_step(w: Words) -> Any:
    assert w.quorum is not None
    return w.quorum.configuration.observers


def spares_being_taken(w: Words) -> Any:
    assert w.quorum is not None
    return tuple(o for o in w.quorum.configuration.observers if o.id in w.quorum.serving)


def unfenced(w: Words) -> bool:
    disk = w.seen.disk
    if isinstance(w.seen.record, Unknown):
        return disk.identity is not None
    return w.record is not None and w.of_generation


def forgetful(w: Words, seen: Observation) -> None:
    """No mark of before is on the disk."""
    w.seen = seen._replace(disk=seen.disk._replace(over=False))


def everything_counts(w: Words, identity: Any) -> bool:
    return identity is not None


def own_by_id_alone(w: Words, configuration: Any) -> Any:
    return configuration.server(w.own_id) if configuration is not None and w.own_id is not None else None


def goes_with_archives(w: Words) -> bool:
    return w.seen.disk.state is DiskState.EMPTY and not w.seen.disk.seeded and w.own_server is None and not w.seen.server.running


def stands_with_any_majority(w: Words) -> Any:
    from zkboot.model import Change

    assert w.quorum is not None and w.own_server is not None
    rest = [v for v in w.quorum.configuration.voters if v.id != w.own_server.id]
    return Change((), (w.own_server.id,), w.quorum.configuration.version) if rest else None


def here(w: Words) -> Any:
    """The line of the quorum at this node's address, where its data names no cluster."""
    nobodys = w.seen.disk.state in (DiskState.DATA, DiskState.EMPTY) and w.seen.disk.identity is None
    found = w.quorum.configuration.servers if w.quorum is not None and w.record is not None and nobodys else ()
    return next((s for s in found if s.address == w.seen.me.address), None)


def mine_or_nobodys(w: Words) -> bool:
    return here(w) is not None and w.instance_of(here(w)) in (None, w.seen.me.instance_id)


def left_here(w: Words) -> bool:
    return here(w) is not None and (here(w).id == w.seen.disk.myid or here(w).id in w.quorum.serving)  # type: ignore[union-attr]


def before_zkboot_only_with_its_data(w: Words) -> Any:
    return ORIGINAL_UNTAKEN(w) if w.seen.disk.state is DiskState.DATA else None


def told_of_ours(w: Words) -> bool:
    return w.own_report is not None and w.own_report.identity is not None


def before_zkboot_by_address(w: Words) -> Any:
    return here(w) if mine_or_nobodys(w) and not told_of_ours(w) else None


def before_zkboot_whoever_holds_it(w: Words) -> Any:
    return here(w) if left_here(w) and not told_of_ours(w) else None


def before_zkboot_whatever_was_told(w: Words) -> Any:
    return here(w) if left_here(w) and mine_or_nobodys(w) else None


def before_zkboot_only_if_claimed(w: Words) -> Any:
    return w.own_server if left_here(w) and mine_or_nobodys(w) and not told_of_ours(w) else None


def before_zkboot_only_while_serving(w: Words) -> Any:
    return ORIGINAL_UNTAKEN(w) if w.quorum is not None and here(w) is not None and here(w).id in w.quorum.serving else None


def created_with_one(w: Words, record: Any) -> Any:
    return say(Action.SET_CREATED, f"1 of {w.target} voters serve: generation {record.generation} is created")


def any_voter_steps_back(w: Words) -> Any:
    assert w.quorum is not None
    return w.quorum.configuration.voters[0]


def ahead_of_any_generation(w: Words) -> bool:
    backup = w.seen.backup
    if backup is None or isinstance(backup, Unknown):
        return False
    return not w.holdings or (backup.epoch, backup.zxid) > w.holdings[0][0]


def nothing(*_: object) -> bool:
    return False


def always(*_: object) -> bool:
    return True


HAND_MADE: tuple[Mutant, ...] = (
    word("stopped counts as dead", "dead", gone_if_not_running),
    word("being taken counts as dead", "dead", gone_if_being_taken),
    word("not listed once counts as dead", "dead", gone_at_once),
    word("not listed by an answer without this node counts as dead", "dead", gone_by_any_answer),
    word("not listed though just claimed counts as dead", "dead", gone_though_just_claimed),
    word("nobody is ever dead", "dead", nothing),
    word("a server is matched by its id alone", "is_own", own_by_id_alone),
    word("stale data reports count", "valid", speaks_without_freshness),
    word("data reports of an old revision count", "valid", speaks_at_any_revision),
    word("too few found at an older revision count", "found_too_few", found_at_any_revision),
    word("any report counts", "valid", any_report_speaks),
    word("empty needs freshness", "valid", empty_needs_freshness),
    word("a silent voter is lost", "lost", lost_if_silent),
    word("a joining voter is lost", "lost", lost_if_joining),
    word("a promise from before an adoption counts", "outdated", nothing),
    word("an empty voter is not lost", "lost", lost_only_if_dead),
    word("voters are counted from who is present", "voters", voters_present),
    word("half of the voters are enough", "too_few", lambda w: 2 * len(w.remaining) < len(w.voters)),
    word("one voter is enough", "too_few", lambda w: not w.remaining),
    word("a promise binds nobody", "promised", nothing),
    word("any fence of its own ends a promise", "promised", promise_ended_by_any_fence),
    word("a promise is only the report", "promised", lambda w: w.own_report is not None and w.own_report.holds is Holds.EMPTY),
    word("a promise is only the root disk's copy of it", "promised", lambda w: w.seen.disk.promised and w.own_report is None),
    word(
        "an unfenced creation starts",
        "fenced_creation",
        lambda w: w.seen.disk.state is DiskState.EMPTY and w.seen.disk.seeded and w.seen.disk.marked,
    ),
    word("an unmarked empty disk starts", "fenced_creation", lambda w: w.seen.disk.state is DiskState.EMPTY),
    word("data of any generation counts", "counts", everything_counts),
    word("nothing that survives counts", "holdings", lambda w: ()),
    word("the worst survivor counts as the best", "holdings", lambda w: ORIGINAL["holdings"](w)[::-1]),
    word("any disk is of the generation", "of_generation", lambda w: w.seen.disk.identity is not None),
    word("the seed is never gone", "seed_gone", nothing),
    word("the seed is always the only voter", "seed_alone", always),
    word("observers out of step are spares", "spares", spares_in_any_step),
    word("observers being taken are spares", "spares", spares_being_taken),
    word("no spare is ever found", "spares", lambda w: ()),
    word("no second claimant is ever found", "claimants", lambda w: ()),
    word(
        "everybody in the group is registered",
        "registered",
        lambda w: tuple(sorted(w.group.instances.values())) if w.group else (),
    ),
    word("the target may be even", "target", lambda w: min(5, max(w.group.desired, 1)) if w.group else 1),
    word("the voters serving are all voters", "voters_serving", lambda w: w.quorum.configuration.voters if w.quorum else ()),
    helper("an unfenced seed starts", "record_lets", unfenced),
    Mutant("a generation seen to be over is forgotten", patches=((Words, "__init__", forgetful),)),
    helper("nothing is said of a generation that is over", "over", lambda w: ""),
    helper("any node is named", "named", always),
    helper("a pending configuration always goes", "pending_is_lost", always),
    helper("a pending configuration never goes", "pending_is_lost", nothing),
    helper("archives are let go", "holds_nothing", goes_with_archives),
    helper("a taken voter leaves with any majority", "stands_without_me", stands_with_any_majority),
    helper("nothing is backed up at zero", "rank", lambda data: (0, 0)),
    helper("nothing is left by others", "untaken", lambda w: None),
    helper("what lies at a member's address is that member's", "untaken", before_zkboot_by_address),
    helper("what others left counts, whoever holds its id now", "untaken", before_zkboot_whoever_holds_it),
    helper("what a member brings from elsewhere was left by others", "untaken", before_zkboot_whatever_was_told),
    helper("what others left counts only under a claim", "untaken", before_zkboot_only_if_claimed),
    helper("what others left counts only where its data is", "untaken", before_zkboot_only_with_its_data),
    helper("what others left counts only while it serves", "untaken", before_zkboot_only_while_serving),
    helper("created with one voter", "count_created", created_with_one),
    helper("any voter steps back", "demotable", any_voter_steps_back),
    helper("no patience for a second newcomer", "patience_over", always),
    helper("endless patience for a second newcomer", "patience_over", nothing),
    helper("a backup is never ahead", "backup_is_ahead", nothing),
    helper("a backup of any generation is ahead", "backup_is_ahead", ahead_of_any_generation),
    word("no seed ever gives up what it was to restore", "given_up", nothing),
    row_is("a survivor goes on, whatever a backup holds", 19, lambda w: bool(w.holdings)),
    helper("nothing remains of a lost record", "remains", lambda w: ""),
    helper("no conflict is seen", "conflict", lambda w: ""),
    helper("nothing is unknown without a quorum", "unknown", lambda w: ""),
    helper("nothing is undecided beside a quorum", "undecided", lambda w: ""),
    helper("joining is never over", "joining_is_over", nothing),
    helper(
        "joining is over at once", "joining_is_over", lambda w: w.own_report is not None and w.own_report.holds is Holds.JOINING
    ),
    helper("a promise is never over", "promise_is_over", nothing),
    helper("a seed builds from anything", "buildable", always),
    helper("a launched instance is never let in", "launching", nothing),
    helper("dead voters leave whenever they can", "tolerance", lambda serving, voters: -voters),
    helper("a server's age is how long it does not serve", "silence", lambda w: w.seen.server.age),
    helper("nothing is noted", "noted", lambda w: ()),
    row_is("no grace", 18, lambda w: bool(lost.silent(w))),
    row_is("no reports awaited", 18, lambda w: w.found_too_few is None or w.found_too_few.seconds <= w.seen.limits.staleness),
    row_is("no age limit for a backup", 20, lost.backup_is_ahead),
    row_is(
        "row 9 without a look at the promise",
        9,
        lambda w: w.seen.quorum is None and alone.named(w) and alone.record_lets(w) and not w.seen.server.running,
    ),
    helper("an unknown quorum is not waited for", "too_soon_to_tell", nothing),
    helper("an unknown quorum is waited for without end", "too_soon_to_tell", lambda w: isinstance(w.seen.quorum, Unknown)),
    helper("a leader leads on in vain", "leads_in_vain", nothing),
    helper("any leader without a quorum is restarted", "leads_in_vain", lambda w: w.serves),
    row_is(
        "row 9 for a moment without a word",
        9,
        lambda w: (
            w.quorum is None
            and not w.promised
            and w.seen.disk.state is DiskState.DATA
            and alone.named(w)
            and alone.record_lets(w)
            and (not w.seen.server.running or alone.stuck(w))
        ),
    ),
    row_is("row 13 counts nobody", 13, nothing),
)
# Nothing below these rows answers for what they take: without them nothing is decided, and that is what notices it.
BY_TOTALITY = ("row 14 removed", "row 22 removed", "row 22 negated")
MUTANTS: tuple[Mutant, ...] = (*(without(r.number) for r in ROWS), *(negated(r.number) for r in ROWS), *HAND_MADE)
assert majority and NO_QUORUM


# --- trials


class Tried(NamedTuple):
    seen: Observation
    decision: Any


def subsample() -> list[Tried]:
    """Of each part every so-manieth situation, and draws from the full product; of each (row, action) at most so many."""
    strata: Counter[tuple[object, ...]] = Counter()
    chosen = []
    for s in candidates():
        seen = observe(s)
        decision = decide(seen)
        key = decision.row, decision.action, *Facts(seen).unknown, kind_of(decision.reason), built_by_others(seen)
        strata[key] += 1
        if strata[key] <= MOST:
            chosen.append(Tried(seen, decision))
    return chosen


def built_by_others(seen: Observation) -> bool:
    return seen.disk.myid is not None or (isinstance(seen.record, Record) and seen.record.source == ADOPTED)


def kind_of(reason: str) -> str:
    """The reason's beginning without its figures: which branch of a row spoke."""
    return "".join(c for c in reason[:48] if c.isalpha() or c == " ")


def candidates() -> Iterator[Situation]:
    yield from crossed(DRAWN)
    for number in range(len(PIECES)):
        part, _ = PIECES[number]
        yield from islice(piece(number), 0, None, 1 if part.situations in SMALL else STRIDE)


@contextmanager
def bent(mutant: Mutant) -> Iterator[None]:
    if not mutant.patches:
        yield
        return
    (target, name, new), *rest = mutant.patches
    with patch.object(target, name, new), bent(mutant._replace(patches=tuple(rest))):  # type: ignore[call-overload]
        yield


def attempt(mutant: Mutant, sample: list[Tried]) -> Trial:
    """Every situation of the subsample decided by the mutant; the invariants that its changed decisions break and the whole
    policy's do not."""
    asked, killers, raised, changed = by_action(), Counter[str](), 0, 0
    for tried in sample:
        try:
            with bent(mutant):
                decision = decide(tried.seen, mutant.rows)
        except Exception:  # a mutant may ask what is not known; the table says how often
            raised += 1
            continue
        if decision == tried.decision:
            continue
        changed += 1
        facts = Facts(tried.seen)
        before = {i.name for i in asked[tried.decision.action] if breaks(i, facts, tried.decision)}
        killers.update(i.name for i in asked[decision.action] if i.name not in before and breaks(i, facts, decision))
    return Trial(mutant.name, killers, raised, changed)


def is_killed(t: Trial) -> bool:
    return bool(t.killers) or (t.mutant in BY_TOTALITY and t.raised > 0)


def table(trials: list[Trial]) -> str:
    lines = [f"{'mutant':<58} {'differs':>7} {'raises':>6}  killed by"]
    for t in trials:
        best = ", ".join(name for name, _ in t.killers.most_common(3)) or (
            TOTAL if t.mutant in BY_TOTALITY and t.raised else "NOBODY"
        )
        lines.append(f"{t.mutant:<58} {t.changed:>7} {t.raised:>6}  {best}")
    killed = sum(is_killed(t) for t in trials)
    return "\n".join([*lines, f"{killed} of {len(trials)} mutants killed by one of {len(INVARIANTS)} invariants"])


SAMPLE: list[Tried] = []


def attempt_numbered(number: int) -> Trial:
    return attempt(MUTANTS[number], SAMPLE)


def attempt_all() -> list[Trial]:
    """All mutants, on both cores; the subsample is inherited by the workers."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    SAMPLE[:] = subsample()
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        return list(pool.map(attempt_numbered, range(len(MUTANTS))))


if __name__ == "__main__":
    print(table(attempt_all()))
