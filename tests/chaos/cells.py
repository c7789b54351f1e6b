"""The matrix: who is struck, by what, and when."""

from typing import NamedTuple

WHO = {
    "leader": "the leader",
    "follower": "a follower",
    "observer": "the observer",
    "majority": "the leader and a follower, two of three voters",
    "all": "all of them",
}
FAULTS = {
    "process killed": "the server's process gets KILL",
    "hung": "the server's process is stopped, and stays so until it is restarted",
    "power": "the machine loses power, and gets it back",
    "reboot": "the machine is rebooted in order",
    "terminated": "the host burns: EC2 says terminated, the disk is gone, the group launches another",
    "disk wiped": "the machine loses power, and comes back with an empty disk",
    "disk full": "no space is left on the data volume, for a while",
    "partitioned": "no packet passes to the other members, for a while; AWS and clients reach it",
    "AWS out": "each call to AWS ends without an answer, for a while",
    "throttled": "AWS refuses each call as too many, for a while",
    "clock jumped": "zkboot's clock is ten minutes ahead for a while, and then put back",
}
MOMENTS = {
    "under writes": "a client writes the whole time",
    "idle": "nothing is written from before the fault until it is healed",
    "joining": "a fifth member is about to be let in",
    "leaving": "the group takes a follower, which is about to leave",
    "reseeding": "a person made the leader reseed: it leads the next generation alone, the others join it",
    "backup": "a backup is being uploaded from a follower",
}
# Data holders lost together: what a survivor did not hold cannot be kept, and where none is left a person decides.
GONE = ("terminated", "disk wiped")


class Cell(NamedTuple):
    who: str
    fault: str
    moment: str

    @property
    def name(self) -> str:
        return f"{self.moment}/{self.fault}/{self.who}"

    @property
    def may_halt(self) -> bool:
        """No disk with data is left: nothing may be created over what was there."""
        return self.fault in GONE and self.who == "all"

    @property
    def may_lose(self) -> bool:
        """Too few voters remain; or the seed goes before anybody has joined it, with what it alone acknowledged."""
        return self.fault in GONE and (self.who in ("majority", "all") or (self.moment, self.who) == ("reseeding", "leader"))


def every_cell() -> list[Cell]:
    return [Cell(who, fault, moment) for moment in MOMENTS for fault in FAULTS for who in WHO]
