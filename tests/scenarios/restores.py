"""The words of stories in which a backup comes back: what is in it and what is not, and how all is lost."""

import random
from typing import Any

from tests.backup.bucket import newest
from tests.lab import ensemble
from tests.lab.group import Group
from tests.lab.machines import Machine
from tests.scenarios.story import LONG, every_write_kept
from tests.scenarios.survivors import written

CONFIRM = ("--confirm", "zk")
UNASKED: dict[str, Any] = {"ensemble": {"auto_restore": 86_400}}


def backed_up(zk: Group, more: int = 0) -> tuple[str, set[str]]:
    """Writes, and a backup of them: its name, and the znodes that are in it. With `more` MiB that do not compress."""
    with every_write_kept(zk):
        pass
    with ensemble.client(zk.leader().address) as session:
        for number in range(2 * more):
            session.create("/more-", random.Random(number).randbytes(1 << 19), sequence=True)
    there = written(zk)
    back_up(zk, zk.living[0])
    return newest(zk), there


def back_up(zk: Group, machine: Machine) -> None:
    """The newest backup holds all that there is: made now, or still current. A timer may be at one of its own."""
    told: list[str] = []

    def made() -> bool:
        done = machine.zkboot("backup", timeout=LONG)
        told[:] = [done.stdout]
        return done.returncode == 0

    zk.wait_until(made, "a backup is made", LONG)
    assert "verified" in told[0] or "is still current" in told[0], told[0]


def given_up(zk: Group, held: set[str]) -> set[str]:
    """Writes after the backup, which are not in it."""
    with every_write_kept(zk):
        pass
    later = written(zk) - held
    assert later
    return later


def put(zk: Group, key: str, body: bytes) -> None:
    zk.region.client("s3").put_object(Bucket=zk.plan.bucket, Key=key, Body=body)


def lose_all_disks(zk: Group) -> None:
    for machine in zk.living:
        machine.power_cut()
    for machine in zk.living:
        machine.wipe_disk()
    for machine in zk.living:
        machine.power_on()
