"""The whole space of abstract observations, as this node (server 1, i-1) may meet them.

A situation is one choice from each finite domain; `observe` (in `scenery.py`) makes an `Observation` of it. Two halves, with
a quorum and
without, because rows 2 to 8 ask nothing of the members' reports and rows 9 to 22 nothing of the ensemble. Within a half the
own side
(disk, report, promise, server) and the other side (who lives, who says what, who votes) are each complete, against every kind
of the other
that the policy tells apart; `crossed` draws from the full product of both sides, to show that nothing hides between them.

Impossible situations are left out by a rule with its reason (`RULES`). `python -m tests.policy.space` prints the sizes.
"""

from collections.abc import Callable, Iterator
from itertools import combinations_with_replacement, islice, product
from random import Random
from typing import Any, NamedTuple

from tests.policy.scenery import (
    ANOTHERS,
    BACKUPS,
    BEFORE,
    DISKS,
    EARLY,
    LIVES,
    OWN_REPORTS,
    RECORDS,
    SAYS,
    SERVERS,
    Alone,
    Among,
    Situation,
    serving_voters,
    stage,
)


class Rule(NamedTuple):
    """What cannot be, and why."""

    why: str
    excludes: Callable[[Situation], bool]


def promising(s: Situation) -> bool:
    return s.promise or s.own == "empty"


RULES: tuple[Rule, ...] = (
    Rule(
        "a report is `empty` only after the root disk's copy of the promise was written",
        lambda s: s.own == "empty" and not s.promise,
    ),
    Rule(
        "a promise is given by a stopped server and taken back before the next start",
        lambda s: promising(s) and s.server != "stopped",
    ),
    Rule("`unknown` is reported only where nothing was promised", lambda s: s.promise and s.own == "unknown"),
    Rule(
        "the generation's seed holds its claim: both were written in one record",
        lambda s: " me" in s.record and s.claim != "mine",
    ),
    Rule(
        "a node builds a disk as seed only in a generation whose record names it",
        lambda s: "built" in s.disk and " me" not in s.record and s.record not in ("unknown", "absent"),
    ),
    Rule(
        "the fence on the disk follows the one in the record",
        lambda s: "fenced" in s.disk and "unfenced" not in s.disk and "not started" in s.record,
    ),
    Rule(
        "a seed gives up what it was to restore before it has built anything of it",
        lambda s: s.record.endswith("given up") and (s.disk == "data" or "built" in s.disk),
    ),
)
RULES_AMONG: tuple[Rule, ...] = (
    *RULES,
    Rule("a quorum is a majority of the voters that serves, its leader among them", lambda s: not has_quorum(s)),
    Rule("a leader serves as a voter", lambda s: s.server == "leads" and s.place != "voter"),
    Rule(
        "a server that serves in the configuration can read its disk's files",
        lambda s: s.server in ("leads", "follows") and s.place in ("voter", "observer") and s.disk not in ("data", BEFORE),
    ),
    Rule("a generation whose seed did not start has no quorum", lambda s: "not started" in s.record),
    Rule(
        "a leader without the generation's znode is recognised by its own node alone",
        lambda s: not s.proved and s.server != "leads",
    ),
    Rule("an ensemble that was created is proved", lambda s: not s.proved and s.record.startswith("created")),
    Rule("a server in step says that it follows", lambda s: s.in_step and s.server != "follows"),
    Rule("a server in step holds the data", lambda s: s.in_step and s.disk not in ("data", "empty, a joiner's")),
    Rule(
        "a seed built as an empty disk holds data once a quorum served with it",
        lambda s: "built" in s.disk and s.disk.startswith("empty") and s.place != "voter",
    ),
)


def has_quorum(s: Among) -> bool:
    serving, voters = serving_voters(s)
    others = any(kind in ("serves", "taken") for kind in s.voters)
    return voters > 0 and serving > voters // 2 and (s.server == "leads" or others)


def possible(s: Situation) -> bool:
    return not any(r.excludes(s) for r in (RULES_AMONG if isinstance(s, Among) else RULES))


# --- without a quorum

# What the members can amount to, one of each kind that the policy tells apart: enough, too few, seed gone, nothing known.
OTHERS: tuple[dict[str, Any], ...] = (
    {"other": ("runs", "data"), "third": ("runs", "data"), "too_few": "no"},
    {"other": ("runs", "empty"), "third": ("runs", "data"), "too_few": "no"},
    {"other": ("terminated", "data"), "third": ("terminated", "data"), "too_few": "long"},
    {"other": ("terminated", "nothing"), "third": ("runs", "empty"), "too_few": "short"},
    {"other": ("runs", "empty"), "third": ("runs", "empty"), "too_few": "long", "backup": "none"},
    {"other": ("runs", "joining"), "third": ("runs", "joining"), "configuration": "other", "too_few": "no"},
    {"other": ("runs", "data"), "third": ("runs", "nothing"), "configuration": "other", "too_few": "no"},
    {"other": ("runs", "data"), "third": ("runs", "data"), "group": "unknown"},
    {"other": ("runs", "nothing"), "third": ("runs", "nothing"), "reports": "unknown", "group": "unknown"},
)
# What this node can amount to for the others' sake.
OWN: tuple[dict[str, Any], ...] = (
    {"disk": "data", "own": "data", "server": "young"},
    {"disk": "data", "own": "data stale", "server": "young"},
    {"disk": "data", "own": "data", "server": "stopped"},
    {"disk": "empty", "own": "empty", "promise": True, "server": "stopped"},
    {"disk": "empty", "own": "empty", "promise": True, "server": "stopped", "taken": "yes", "archive": True},
    {"disk": "data of an older generation", "own": "data of an older generation", "server": "stopped"},
    {"disk": "data of nobody", "own": "data of nobody", "server": "stopped"},
)
WITH_RECORD = tuple(r for r in RECORDS if r not in ("absent", "unknown"))


def own_sides() -> Iterator[dict[str, Any]]:
    for disk, own, promise, server, no_quorum in product(DISKS, OWN_REPORTS, (False, True), SERVERS, ("short", "long")):
        if server in ("leads", "observes") or (promise and server != "stopped"):
            continue
        yield {"disk": disk, "own": own, "promise": promise, "server": server, "no_quorum": no_quorum}


def alone_own_side(record: str) -> Iterator[Alone]:
    """The own side complete, against each kind of the others' sides."""
    for own in own_sides():
        for others in OTHERS:
            yield Alone(record=record, **own, **others)
        for others in (OTHERS[0], OTHERS[2], OTHERS[5]):
            yield Alone(record=record, **own, **others, taken="yes")
        yield Alone(record=record, **own, claim="none")
        yield Alone(record=record, **own, taken="unknown", archive=True)
        yield Alone(record=record, **own, desired=0, taken="yes")
        for configuration in ("me", "others", "readdressed", "growing", "growing, the other dead", "entering", "none"):
            yield Alone(record=record, **own, configuration=configuration)


def alone_other_side(record: str) -> Iterator[Alone]:
    """The members complete, against each kind of this node."""
    judged = [("no", "none"), ("short", "none"), ("long, before a raise", "none"), *(("long", backup) for backup in BACKUPS)]
    thirds = (
        *(("runs", says) for says in ("nothing", "empty", "joining", "data")),
        ("terminated", "nothing"),
        ("terminated", "data"),
    )
    members = list(product(("runs", "stopped", "terminated", "not listed"), SAYS, thirds, ("three", "two", "other newer")))
    for (life, says, third, configuration), (too_few, backup), own in product(members, judged, OWN):
        yield Alone(
            record=record,
            configuration=configuration,
            other=(life, says),
            third=third,
            too_few=too_few,
            backup=backup,
            no_quorum="long",
            **own,
        )


def alone_judges(record: str) -> Iterator[Alone]:
    """EC2's answer that does not list this node, and single members: who is dead, and by whose word."""
    groups, configurations, thirds = (
        ("known", "does not list me", "unknown"),
        ("other", "me", "two", "none"),
        (("runs", "data"), ("runs", "empty")),
    )
    for life, says, third, group, configuration, own in product(LIVES, SAYS, thirds, groups, configurations, OWN[::2]):
        yield Alone(
            record=record,
            configuration=configuration,
            group=group,
            other=(life, says),
            third=third,
            too_few="long",
            no_quorum="long",
            **own,
        )


def alone_what_others_built(record: str) -> Iterator[Alone]:
    """An ensemble is being taken in when its quorum is lost: what the members reported, before the record and since."""
    members = list(product(("runs", "stopped", "terminated"), ("nothing", "empty", EARLY, "data", "data of nobody")))
    for other, third, own, too_few, backup in product(members, members, OWN, ("no", "short", "long"), ("none", "ahead")):
        yield Alone(record=record, other=other, third=third, too_few=too_few, backup=backup, no_quorum="long", **own)


def alone_without_record(record: str) -> Iterator[Alone]:
    """No record, or one that could not be read: what else shows that an ensemble existed, and who is there."""
    for own in own_sides():
        yield Alone(record=record, **own, claim="none", other=("runs", "empty"), third=("runs", "empty"))
        yield Alone(
            record=record,
            **own,
            claim="none",
            other=("runs", "empty"),
            third=("runs", "empty"),
            group="unknown",
            reports="unknown",
        )
        for configuration in ("me", "others", "entering", "none"):
            yield Alone(record=record, **own, claim="none", configuration=configuration)
    asked = (("known", "known"), ("does not list me", "known"), ("unknown", "known"), ("known", "unknown"))
    disks = ("empty", "unknown", "damaged", "data")
    for disk, own, taken, (group, reports) in product(
        disks, ("nothing", "empty", "joining", "data"), ("no", "yes", "unknown"), asked
    ):
        for witnesses, backup, archive, desired in product(("none", "one", "unknown"), BACKUPS[:4], (False, True), (0, 3, 5)):
            for says in ("nothing", "empty", "data", "empty, with an archive"):
                yield Alone(
                    record=record,
                    claim="none",
                    disk=disk,
                    own=own,
                    promise=own == "empty",
                    taken=taken,
                    group=group,
                    reports=reports,
                    witnesses=witnesses,
                    backup=backup,
                    archive=archive,
                    desired=desired,
                    other=("runs", says),
                    third=("waits", "empty"),
                )


def alone_first_creation(record: str) -> Iterator[Alone]:
    """Nothing exists yet: who is there, who has registered, who is still missing."""
    says = ("nothing", "empty", "joining")
    for other, third in product(product(LIVES, says), product(LIVES, says)):
        for desired, own, taken in product((1, 2, 3, 4), ("empty", "joining"), ("no", "yes")):
            yield Alone(
                record=record,
                claim="none",
                disk="empty",
                own=own,
                promise=own == "empty",
                taken=taken,
                desired=desired,
                other=other,
                third=third,
            )


def alone_conflicts(record: str) -> Iterator[Alone]:
    """What belongs to another: scope, cluster, generation, a person's command, a foreign leader."""
    for disk, own, server, conflict, quorum in product(
        (*DISKS, "data of another cluster", "data of a newer generation"),
        ("nothing", "data"),
        ("stopped", "young", "follows"),
        ("none", "scope", "intent", "foreign"),
        ("none", "unknown"),
    ):
        for taken, group in (("no", "known"), ("yes", "known"), ("no", "unknown")):
            yield Alone(
                record=record, disk=disk, own=own, server=server, conflict=conflict, quorum=quorum, taken=taken, group=group
            )


def alone_undecided(record: str) -> Iterator[Alone]:
    """A leader answers and opens no session: this node, and what its disk says was proposed; that leader may be this node."""
    configurations = ("three", "two", "me", "growing", "growing, the other dead", "entering", "none")
    says, others_by_kind = ("nothing", "empty", "joining", "data"), (OTHERS[0], OTHERS[2], OTHERS[7])
    sides = product(DISKS, says, SERVERS, ("short", "long"), configurations, others_by_kind)
    for disk, own, server, no_quorum, configuration, others in sides:
        rest = {"configuration": configuration, "quorum": "unknown"} | others
        yield Alone(record=record, disk=disk, own=own, promise=own == "empty", server=server, no_quorum=no_quorum, **rest)


# --- with a quorum

ENSEMBLES: tuple[dict[str, Any], ...] = (
    {"voters": ("serves", "serves"), "desired": 3},
    {"voters": ("serves", "dead", "serves"), "desired": 3},
    {"voters": ("serves", "serves", "serves"), "desired": 3},
    {"voters": ("serves",), "desired": 3},
    {"voters": ("serves", "serves"), "observers": ("spare",), "desired": 0},
)
PLACES = ("voter", "observer", "outside", "outside, my address another id's", "outside, my id at another address")
NODES: tuple[dict[str, Any], ...] = (
    {"place": "voter", "server": "leads"},
    {"place": "voter", "server": "leads", "taken": "yes"},
    {"place": "voter", "server": "follows", "taken": "yes"},
    {"place": "observer", "server": "follows"},
    {"place": "outside", "server": "follows", "in_step": True, "own": "joining"},
    {"place": "outside, my address another id's", "server": "follows", "in_step": True, "own": "joining"},
)


def among_own_side(record: str) -> Iterator[Among]:
    """The own side complete, against each kind of ensemble."""
    reports = (("nothing", False), ("nothing", True), ("empty", True), ("joining", False), ("joining", True), ("data", False))
    for (own, promise), disk, server, place in product(reports, DISKS, (*SERVERS, "old, silent a moment"), PLACES):
        if promise and server != "stopped":
            continue
        side = {"own": own, "promise": promise, "disk": disk, "server": server, "place": place}
        for ensemble, taken in product(ENSEMBLES, ("no", "yes")):
            yield Among(record=record, **side, **ensemble, taken=taken)
        for claim, group, reports_known, in_step in product(
            ("mine", "none", "another's"), ("known", "unknown"), ("known", "unknown"), (False, True)
        ):
            yield Among(record=record, **side, claim=claim, group=group, reports=reports_known, in_step=in_step)
        for proved, lifecycle, taken, archive in product(
            (True, False), ("Pending:Wait", "InService"), ("no", "unknown"), (False, True)
        ):
            yield Among(record=record, **side, proved=proved, lifecycle=lifecycle, taken=taken, archive=archive)


def among_other_side(record: str) -> Iterator[Among]:
    """The ensemble complete: up to four other voters and two observers, each serving, silent, dead or being taken."""
    for voters, observers in product(
        sizes(("serves", "silent", "dead", "taken"), 4), sizes(("spare", "silent", "dead", "taken"), 2)
    ):
        for node, desired, claimant in product(NODES, (0, 1, 2, 3, 4, 5), (False, True)):
            if claimant and node["place"] != "outside":
                continue
            yield Among(record=record, voters=voters, observers=observers, desired=desired, claimant=claimant, **node)


def among_newcomers(record: str) -> Iterator[Among]:
    """The first steps of growth: who may enter, alone or with another, and how long it waited for one."""
    for voters, desired, claimant, alone, others, claim, in_step, server in product(
        sizes(("serves", "silent", "dead"), 2),
        (1, 2, 3, 5),
        (False, True),
        ("no", "short", "long"),
        (False, True),
        ("mine", "none", "another's"),
        (False, True),
        ("young", "old", "follows"),
    ):
        for reports in ("known", "all"):
            yield Among(
                record=record,
                place="outside",
                server=server,
                own="joining",
                voters=voters,
                desired=desired,
                claimant=claimant,
                alone=alone,
                newcomer=others,
                claim=claim,
                in_step=in_step,
                reports=reports,
            )


def among_what_others_built(record: str) -> Iterator[Among]:
    """An ensemble is being taken in: this member complete, whose data may be what others left, or was brought here since."""
    for disk, own, server, place, claim in product(
        (BEFORE, "data of nobody", "empty"),
        ("nothing", "empty", "joining", "data"),
        (*SERVERS, "old, silent a moment", *ANOTHERS),
        PLACES,
        ("mine", "none", "another's"),
    ):
        side = {"disk": disk, "own": own, "promise": own == "empty", "server": server, "place": place, "claim": claim}
        for ensemble, taken in product(ENSEMBLES, ("no", "yes", "unknown")):
            yield Among(record=record, **side, **ensemble, taken=taken)
        for group, reports, lifecycle in product(
            ("known", "unknown"), ("known", "unknown", "all"), ("Pending:Wait", "InService")
        ):
            yield Among(record=record, **side, group=group, reports=reports, lifecycle=lifecycle)


def sizes(kinds: tuple[str, ...], most: int) -> list[tuple[str, ...]]:
    """Every multiset of at most that many."""
    return [chosen for n in range(most + 1) for chosen in combinations_with_replacement(kinds, n)]


# --- the whole


class Part(NamedTuple):
    """A piece of the space: one enumeration over some records."""

    name: str
    situations: Callable[[str], Iterator[Situation]]
    records: tuple[str, ...]


JUDGED = (
    "created, seed me",
    "creating, seed me, started",
    "creating, seed other, started",
    "creating, seed other, not started",
    "creating, seed gone, started",
    "reseeding, seed me, not started",
    "reseeding, seed other, started",
    "reseeding, seed gone, started",
    "restoring, seed other, given up",
)
UNDECIDED = (
    "unknown",
    "created, seed me",
    "created, seed other",
    "creating, seed me, started",
    "creating, seed other, not started",
    "reseeding, seed me, not started",
)
AMONG = tuple(r for r in RECORDS if "not started" not in r and not r.startswith("restoring"))
PARTS: tuple[Part, ...] = (
    Part("no quorum: this node complete, the others by kind", alone_own_side, WITH_RECORD),
    Part("no quorum: the others complete, this node by kind", alone_other_side, JUDGED),
    Part("no quorum: who is dead, by whose word", alone_judges, JUDGED),
    Part(
        "no quorum: what others built is taken in",
        alone_what_others_built,
        ("created, seed other, adopted", "created, seed me, adopted"),
    ),
    Part("no quorum: no record, or none that can be read", alone_without_record, ("absent", "unknown")),
    Part("no quorum: a first creation", alone_first_creation, ("absent",)),
    Part("no word whether a quorum serves", alone_undecided, UNDECIDED),
    Part("what belongs to another, and a person's command", alone_conflicts, RECORDS),
    Part("quorum: this node complete, the ensemble by kind", among_own_side, AMONG),
    Part(
        "quorum: the ensemble complete, this node by kind",
        among_other_side,
        ("created, seed other", "creating, seed me, started"),
    ),
    Part("quorum: what others built is taken in", among_what_others_built, ("created, seed other", "created, seed me")),
    Part("quorum: newcomers", among_newcomers, ("created, seed other", "reseeding, seed other, started")),
)
PIECES: tuple[tuple[Part, str], ...] = tuple((part, record) for part in PARTS for record in part.records)


def piece(number: int) -> Iterator[Situation]:
    """The possible situations of one piece, each once."""
    part, record = PIECES[number]
    seen = set()
    for s in part.situations(record):
        if s not in seen and possible(s):
            seen.add(s)
            yield s


def crossed(count: int, seed: int = 1) -> Iterator[Alone]:
    """Drawn from the full product of both sides without a quorum; the same ones for the same seed."""
    return islice(filter(possible, draws(Random(seed))), count)


def draws(random: Random) -> Iterator[Alone]:
    configurations = (
        "three",
        "two",
        "me",
        "other",
        "others",
        "other newer",
        "growing",
        "growing, the other dead",
        "entering",
        "none",
    )
    while True:
        record = random.choice(RECORDS)
        yield Alone(
            record=record,
            claim=random.choice(("mine", "none")),
            disk=random.choice(DISKS),
            configuration=random.choice(configurations),
            own=random.choice(OWN_REPORTS),
            promise=random.random() < 0.2,
            server=random.choice(("stopped", "stopped", "young", "old", "old, silent a moment", "follows", "leads")),
            archive=random.random() < 0.2,
            taken=random.choice(("no", "no", "no", "yes", "unknown")),
            group=random.choice(("known", "known", "known", "unknown", "does not list me")),
            desired=random.choice((0, 3, 5)),
            reports=random.choice(("known", "known", "known", "unknown")),
            other=(random.choice(LIVES), random.choice(SAYS)),
            third=(random.choice(LIVES), random.choice(SAYS)),
            witnesses=random.choice(("none", "one", "unknown")),
            backup=random.choice(BACKUPS),
            no_quorum=random.choice(("short", "long")),
            too_few=random.choice(("no", "short", "long", "long", "long, before a raise")),
            quorum=random.choice(("none", "none", "none", "unknown")),
        )


def size() -> int:
    """How many situations the space has; one that two parts share counts once."""
    records = {record for _, record in PIECES}
    return sum(len({s for number, (_, of) in enumerate(PIECES) if of == record for s in piece(number)}) for record in records)


def main() -> None:
    for part in PARTS:
        count = sum(1 for number, (other, _) in enumerate(PIECES) if other is part for _ in piece(number))
        print(f"{count:>9,}  {part.name} ({len(part.records)} records)")
    print(f"{size():>9,}  in all, shared ones once; left out as impossible, because")
    for rule in RULES_AMONG:
        print(f"           - {rule.why}")


if __name__ == "__main__":
    main()

__all__ = ["PARTS", "PIECES", "RULES", "RULES_AMONG", "crossed", "piece", "possible", "size", "stage"]
