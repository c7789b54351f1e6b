"""The clauses that keep two nodes from going on at once, each with what is lost where it is switched off.

`python -m tests.sim.clauses` prints the table.
"""

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from tests.sim import beginnings, races, switches
from tests.sim.director import Director
from tests.sim.simulation import Simulation
from tests.sim.switches import Switch

Schedule = Callable[[Director], None]
TWO = "two leaders acknowledge writes"
LOST = "acknowledged writes are lost"
STUCK = "not healthy after"
GIVEN_UP = "acknowledged writes were given up"
ANEW = "was begun anew"
REFUSED = "and are refused by a leader"


class Clause(NamedTuple):
    """`switch` turns it off; `schedule` is the race; `loss` is what then is seen, and never with the clause on."""

    words: str
    switch: Switch
    schedule: Schedule
    loss: str
    max_voters: int = 5
    given: Mapping[str, str] = MappingProxyType({})


class Played(NamedTuple):
    """What must never be seen; what is not promised to keep; what happened."""

    found: tuple[str, ...]
    given_up: tuple[str, ...]
    story: tuple[str, ...]


CLAUSES: tuple[Clause, ...] = (
    # the fence and the promise
    Clause("the fence stands before the seed's start", switches.NO_FENCE, beginnings.seed_emptied, TWO),
    Clause("the fence stands on the disk too", switches.NO_FENCE_ON_DISK, beginnings.started_without_its_fence, TWO),
    Clause("a joiner has reported `joining`", switches.JOINED_UNREPORTED, races.rejoined_then_cut_off, TWO),
    Clause("`joining` is reported before the record is raised", switches.JOINING_AFTER, races.come_back_by_halves, TWO),
    Clause("the record is raised after `joining`", switches.NO_RAISE, partial(races.all_come_back, point="before reseed"), TWO),
    Clause(
        "an `empty` promise keeps a server stopped", switches.NO_PROMISE, partial(races.all_come_back, point="before reseed"), TWO
    ),
    Clause("a copy of the promise stands on the root disk", switches.PROMISE_IN_REPORT_ALONE, races.come_back_without_aws, TWO),
    Clause(
        "a joiner is set up before its promise is deleted",
        switches.RELEASED_BEFORE_SET_UP,
        races.given_back_before_it_is_set_up,
        TWO,
    ),
    Clause(
        "a seed's promise ends with a fence that came after it",
        switches.PROMISE_ENDED_BY_ANY_FENCE,
        beginnings.promised_after_its_fence,
        TWO,
    ),
    Clause("`empty` needs no freshness", switches.EMPTY_FRESH, races.two_of_three_emptied, STUCK),
    Clause(
        "a seed that finds another disk than it was to build is one no more",
        switches.SEED_OF_ANOTHER_DISK,
        beginnings.old_volume_of_a_creation,
        STUCK,
    ),
    # the judge
    Clause(
        "the judge compares-and-sets the revision it judged",
        switches.REREAD,
        partial(races.all_come_back, point="before reseed"),
        TWO,
    ),
    Clause("too few were found at the record's present revision", switches.FOUND_AT_ANY_REVISION, races.two_come_and_go, LOST),
    Clause("a report is newer than the finding of too few", switches.REPORTS_OF_ANY_AGE, races.old_report, LOST),
    Clause("a report is as old as its reading of the disk", switches.REPORTS_BY_WRITING, races.late_report, LOST),
    Clause(
        "the record is read before the reports (the revision not looked at elsewhere)",
        switches.REPORTS_FIRST + switches.FOUND_AT_ANY_REVISION + switches.ANY_REPORTS,
        partial(races.all_come_back, point="get control/c/record.json"),
        TWO,
    ),
    Clause("who does not answer is not dead", switches.SILENT_IS_DEAD, races.cut_off, TWO),
    Clause(
        "who is not listed once is not dead",
        switches.UNLISTED_IS_DEAD,
        races.unknown_to_ec2,
        TWO,
        given={"timing.consistency": "60"},
    ),
    Clause(
        "who is not listed is not dead before EC2 must know it",
        switches.DEAD_HOWEVER_YOUNG,
        races.unknown_to_ec2,
        TWO,
        given={"timing.consistency": "60"},
    ),
    Clause("a lost record is not created anew beside a witness", switches.NO_WITNESS, beginnings.bucket_emptied, ANEW),
    Clause("what others left is taken in, not archived", switches.NOTHING_LEFT_BY_OTHERS, beginnings.others_built_it, STUCK),
    Clause("the voters are those of the configuration", switches.VOTERS_PRESENT, races.most_terminated, STUCK),
    Clause("voters are matched by id and address", switches.BY_ADDRESS_ALONE, races.address_given_again, STUCK),
    Clause("a judge waits for the grace", switches.NO_GRACE, races.back_within_grace, GIVEN_UP),
    Clause("a person's command waits until each living member has stopped", switches.NOBODY_AWAITED, races.person_reseeds, TWO),
    Clause("who stood still in vain is heard before anybody goes on", switches.EMPTY_IN_VAIN, races.restored_in_vain, LOST),
    Clause("who stood still with data that is damaged says so", switches.DAMAGE_UNTOLD, races.damaged_in_vain, STUCK),
    # backups
    Clause("the restorer compares-and-sets what it judged", switches.REREAD, races.come_back_before_a_restore, TWO),
    Clause("only a backup ahead of all survivors is restored", switches.BACKUP_FIRST, races.survivor_ahead_of_the_backup, LOST),
    Clause("the last of a group is backed up", switches.NO_LAST_BACKUP, races.to_zero_and_back, GIVEN_UP),
    # generation, configuration, epoch
    Clause("a disk's generation is the record's", switches.ANY_GENERATION, races.come_back_later, TWO),
    Clause("the pending configuration is kept over starts", switches.PENDING_NOT_KEPT, races.commit_unheard, TWO, max_voters=3),
    Clause(
        "a pending configuration goes by which nobody leads without this node",
        switches.PENDING_UNTIL_ALL_ARE_DEAD,
        races.joiner_dies_in_commit,
        STUCK,
    ),
    Clause(
        "a member starts with the quorum's newer configuration",
        switches.OWN_CONFIGURATION,
        races.away_while_all_others_are_replaced,
        STUCK,
    ),
    Clause(
        "before a destructive step, and before a newcomer enters, the record is read again",
        switches.NO_LOOK,
        races.let_in_by_the_generation_before,
        STUCK,
    ),
    Clause(
        "a joiner's configuration is just older than what it is made from",
        switches.OLDEST_CONFIGURATION,
        beginnings.old_configuration_of_a_joiner,
        STUCK,
    ),
    Clause(
        "a member without a claim is who reported from its address",
        switches.NEWCOMERS_UNKNOWN,
        races.joiner_dies_and_is_let_in,
        STUCK,
    ),
    Clause(
        "what counts is held by whoever lives, member or not", switches.MEMBERS_ALONE, beginnings.survivor_of_a_creation, STUCK
    ),
    Clause("a leader that cannot commit what it proposed starts anew", switches.LEADS_ON, races.voter_dies_in_commit, STUCK),
    Clause("a seed's epoch is far above any that was seen", switches.NEXT_EPOCH, races.elections_unseen, REFUSED),
    Clause("the record holds a floor of the seeds' epochs", switches.OWN_EPOCH, races.generation_unseen, REFUSED),
)


def play(clause: Clause, switch: Switch) -> Played:
    """The clause's race with that switch laid on, then quiet. Raises Missed when the race did not come about."""
    sim = Simulation(1, max_voters=clause.max_voters, given=clause.given)
    director = Director(sim)
    try:
        with switches.off(switch):
            clause.schedule(director)
            director.calm()
    finally:
        sim.close()
    given_up = [f"{len(sim.ledger.excused)} {GIVEN_UP}, for their disks were not there"] if sim.ledger.excused else []
    return Played(tuple(sim.ledger.found), tuple(given_up), tuple(sim.story))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.clauses", description="Each clause off and on, in its race.")
    parser.add_argument("--story", help="tell the race of the clause whose words contain this, with it off")
    given = parser.parse_args()
    if given.story:
        clause = next((c for c in CLAUSES if given.story in c.words), None)
        if clause is None:
            parser.error(f"no clause's words contain {given.story!r}; there are: {'; '.join(c.words for c in CLAUSES)}")
        played = play(clause, clause.switch)
        print(clause.words, *played.story, *played.found, *played.given_up, sep="\n")
        return 0
    for clause in CLAUSES:
        off, on = play(clause, clause.switch), play(clause, [])
        seen = next((text for text in (*off.found, *off.given_up) if clause.loss in text), "NOTHING")
        print(f"{clause.words:<78} off: {seen.splitlines()[0][:60]:<60} on: {on.found[0][:60] if on.found else 'nothing'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
