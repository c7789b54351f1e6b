"""What zkboot does, and the steps that it goes through in each. This is the one table: a step that no story names fails the run.

A story arms machines with the case's orders and then brings the steps about. It returns once all that it does has been done;
that the orders were met, that three serve and that no write is lost is seen afterwards.
"""

from collections.abc import Callable
from typing import NamedTuple

from tests.crash import backups, commands, damage, departures
from tests.crash.scene import Scene


class Story(NamedTuple):
    """`tell` begins with three that serve; where `fresh`, with the launch of the first three machines, already armed."""

    tell: Callable[[Scene], None]
    steps: tuple[str, ...]
    fresh: bool = False


STARTING = ("release", "configure", "start")
JOINING = ("report joining", "claim", *STARTING, "set up", "reconfigure", "report membership", "let in")
SEEDING = ("report joining", "build", "fence", "fence on disk", *STARTING, "prove", "set created")
COPYING = ("lease", "begin upload", "upload part", "complete upload", "write manifest", "read back", "mark verified")

OF_THE_ENSEMBLE: dict[str, Story] = {
    "create": Story(
        departures.three_machines_are_launched,
        ("register", "create", "witness", "secret", *SEEDING, *JOINING[1:2], *JOINING[5:]),
        fresh=True,
    ),
    "create again": Story(departures.the_seed_is_lost_when_it_is_named, ("create again",), fresh=True),
    "join": Story(departures.one_more_is_wanted, JOINING),
    "replace": Story(departures.one_is_replaced, JOINING),
    "promote": Story(departures.a_spare_is_promoted, ("reconfigure",)),
    "prune": Story(departures.a_spare_dies_and_is_not_replaced, ("reconfigure",)),
    "leave": Story(departures.the_group_takes_one, ("reconfigure", "stop", "let go")),
    "leave later": Story(departures.the_group_takes_one_that_cannot_go_yet, ("heartbeat",)),
    "rejoin": Story(damage.a_disk_is_damaged, ("prove the leader", "archive", "report joining", *STARTING, "set up")),
    "empty": Story(damage.a_joiners_disk_is_damaged_while_nobody_serves, ("report unknown", "archive damaged")),
    "promise": Story(damage.an_empty_promise_is_taken_back, ("register", "report joining", "raise", "report data")),
    "hang": Story(damage.a_server_hangs, ("stop", "configure", "start")),
    "record": Story(damage.the_record_is_deleted, ("adopt",)),
    "reseed": Story(damage.a_majority_is_terminated, ("reseed", "mark over", *SEEDING)),
    "bring back": Story(damage.a_seed_is_lost_once_the_others_have_archived, ("bring back",)),
    # Two: where the command is killed as it states its intent, the members have looked before it wakes them.
    "reseed intended": Story(commands.reseed_over_a_live_ensemble, ("intend",)),
    "reseed typed": Story(commands.reseed_over_a_live_ensemble, ("wake", "report joining", "name seed", "report empty")),
    "withdraw": Story(commands.reseed_is_withdrawn, ("withdraw intent",)),
    "adopt typed": Story(commands.an_ensemble_of_others_is_adopted, ("adopt", "take in", *STARTING[1:], "prove")),
    "adopt unlisted": Story(commands.a_member_that_was_not_listed_is_adopted, ("claim adopted",)),
    "follow group": Story(commands.the_group_is_another, ("follow group",)),
}
OF_BACKUPS: dict[str, Story] = {
    "backup": Story(backups.a_backup_is_made, COPYING),
    "unfinished backup": Story(backups.an_unfinished_backup_is_aborted, ("abort upload",)),
    "current backup": Story(backups.a_backup_is_still_current, ("mark current",)),
    "cold backup": Story(backups.a_cold_backup_is_made, ("stop server", "start server")),
    "damaged backup": Story(backups.a_damaged_backup_is_read_back, ("mark damaged",)),
    "copy": Story(backups.a_backup_is_copied, ("write manifest of copy",)),
    "delete backups": Story(backups.old_backups_are_deleted, ("delete",)),
    "restore": Story(backups.all_disks_are_lost, ("restore", "unpack", "bring back", *SEEDING)),
    "restore anew": Story(backups.all_is_lost_but_the_backups, ("report joining", "begin")),
    "restore given up": Story(backups.a_backup_is_given_up, ("intend", "wake", "name seed", "give up")),
    "drill": Story(backups.a_backup_is_drilled, ("unpack", "start scratch server", "mark verified", "mark drilled")),
    "to zero": Story(backups.the_group_goes_to_zero_and_comes_back, ("last backup", "let go")),
    "ship": Story(backups.the_journal_is_shipped, ("keep place",)),
}
STORIES = OF_THE_ENSEMBLE | OF_BACKUPS


def told_steps() -> set[str]:
    return {step for story in STORIES.values() for step in story.steps}
