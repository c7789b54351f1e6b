"""What the logs of machines say that become members."""

import re

from tests.cloudinit.story import Line, any_of, ended, hold_to, may, says
from tests.lab.group import Group
from tests.lab.machines import Machine

REGISTERED = r"waiting: [12] of 3 instances registered: .*; missing: (i-\w+ \([\w. ]+, Pending(:Wait)?\)|\d not launched yet).*"
WRITING = (
    r"waiting: no quorum seen, and it is unknown what the members report \(the reports of .* are being written this moment\)"
)
# Another node was faster, or this machine slow: the next turn looks again.
OVERTAKEN = (
    WRITING,
    r"another node was first to write control/zk/record\.json, revision \d+ by now; looking again",
    r"other nodes wrote control/zk/record\.json, revision \d+ by now: .*; looking again",
    r"waiting: the seed has (no claim in the record|not put the secret .*) yet",
    r"waiting: no quorum seen, and it is unknown whether an ensemble serves \(the leader at .* could not be read: .*\)",
    r"reconfiguration of version 0x\w+ refused: .*",
    r"[\d.]+(:2181)? (gave no session|did not answer in time|closed the connection|accepted the reconfiguration).*",
    r"[\d.]+:2181: (Connection refused|no connection)",
)
EVERY = r"recovery every (minute|\d+ s)"
BACKUP = r"(; next backup within 24 h)?"  # where systemd has the timer of backups
LET_IN = r"server {0} serves and the ensemble is created: the group may count this instance"


def end_of(machine: Machine, zk: Group) -> None:
    zk.wait_until(lambda: ended(machine), f"{machine} has told its boot's end")


def server_id(machine: Machine, zk: Group) -> int:
    return next(member.id for member in zk.members() if member.address == machine.address)


def three_from_nothing(zk: Group) -> None:
    """The logs of the three machines that a cluster began with."""
    [seed] = [machine for machine in zk.living if machine.said("this node is the seed")]
    everyone = ", ".join(sorted(machine.instance_id for machine in zk.living))
    me = re.escape(f"({seed.instance_id}, {seed.address})")
    hold_to(
        seed,
        any_of(REGISTERED, *OVERTAKEN),
        says(rf"all 3 instances registered \({everyone}\) and nothing of an older ensemble: creating cluster zk"),
        any_of(*OVERTAKEN),
        says(r"this node is the seed of generation 1 \(creating\): building its disk, then the fence, then the start"),
        any_of(
            rf"waiting for an election: 1 of 1 voters are not lost \(server 1 {me}\); 1 elect",
            r"nobody leads yet: this node reports what its disk holds \(data\)",
            *OVERTAKEN,
            r"waiting: server 1 runs but does not serve yet",
        ),
        says(r"server 1 leads generation 1: proving the quorum with a timed write"),
        any_of(
            *OVERTAKEN,
            r"waiting: 1 of 3 voters serve, 2 make generation 1 created",
            r"[23] of 3 voters serve: generation 1 is created",
        ),
        says(LET_IN.format(1)),
        says(rf"serving as leader, server 1 of 3 \(1, 2, 3\); {EVERY}{BACKUP}"),
    )
    for machine in zk.living:
        if machine is not seed:
            hold_to(machine, *joined_beside(seed.instance_id, server_id(machine, zk)))


def joined_beside(seed: str, me: int) -> tuple[Line, ...]:
    """What server 2 or 3 says, which starts beside the seed."""
    from_seed = rf"{seed}, the seed of generation 1,"
    started = rf"starting beside {from_seed} to join as soon as it leads|joining the ensemble led by server 1"
    return (
        any_of(REGISTERED, *OVERTAKEN),
        says(rf"({started}): server {me} started"),
        any_of(
            *OVERTAKEN,
            rf"waiting: {from_seed} does not lead yet",
            rf"waiting: {from_seed} has not proved its quorum yet",
            rf"waiting: server {me} takes over the data from server 1",
            rf"waiting: server {me} is in step; a second newcomer joins with it, so that one voter becomes three",
        ),
        may(rf"joined as server {me}, with server {5 - me} \(i-\w+, [\d.]+\) in the same call; voters now 1, 2, 3"),
        any_of(
            *OVERTAKEN,
            rf"waiting: server {me} runs but does not serve yet",
            r"waiting: 1 of 3 voters serve, 2 make generation 1 created",
            r"[23] of 3 voters serve: generation 1 is created",
        ),
        says(LET_IN.format(me)),
        says(rf"serving as follower, server {me} of 3 \(1, 2, 3\); {EVERY}{BACKUP}"),
    )
