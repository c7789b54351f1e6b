"""The words that the stories share: an account of every write, what the record says, what a machine said."""

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab import ensemble
from tests.lab.group import DEADLINE, Group
from tests.lab.ledger import Ledger
from tests.lab.machines import MARKER, Machine
from tests.lab.region import BUCKET, Region

LONG = 400.0  # seconds: deadline of what takes several generations, or many machines; no story rests on it


# --- the ledger


@contextmanager
def every_write_kept(zk: Group) -> Iterator[Ledger]:
    """Writes go on during the block, which begins once they are acknowledged; each acknowledged one is read back at its end."""
    with Ledger(zk) as ledger:
        ledger.wait_writing()
        yield ledger
    assert ledger.report is not None
    assert ledger.report.lost == (), f"{len(ledger.report.lost)} of {ledger.report.acknowledged} acknowledged writes are lost"


# --- the record and the reports


def record_key(zk: Group) -> str:
    return f"control/{zk.plan.cluster}/record.json"


def record(zk: Group) -> dict[str, Any]:
    """The cluster's record, {} when there is none."""
    body = zk.region.objects(record_key(zk), zk.plan.bucket).get(record_key(zk))
    return json.loads(body) if body else {}


def reports(zk: Group) -> dict[str, dict[str, Any]]:
    """Each instance's report by its id."""
    found = zk.region.objects(f"control/{zk.plan.cluster}/reports/", zk.plan.bucket).values()
    return {report["instance_id"]: report for report in map(json.loads, found)}


def delete_record(zk: Group) -> bytes:
    """The record is deleted by an administrator; returns what it was."""
    body = zk.region.objects(record_key(zk))[record_key(zk)]
    zk.region.client("s3").delete_object(Bucket=BUCKET, Key=record_key(zk))
    return body


def put_record(zk: Group, body: bytes) -> None:
    zk.region.client("s3").put_object(Bucket=BUCKET, Key=record_key(zk), Body=body)


def holder(zk: Group, machine: Machine) -> int:
    """The server id that the record says is this machine's."""
    ids = [int(i) for i, claim in record(zk)["members"].items() if claim["instance_id"] == machine.instance_id]
    assert len(ids) == 1, f"the record names {machine} {len(ids)} times"
    return ids[0]


def created_once(zk: Group, generation: int = 1) -> None:
    """The record comes to name that generation, created, and its members are those that serve."""
    zk.wait_until(lambda: record(zk)["state"] == "created", f"generation {generation} is created")
    now = record(zk)
    assert now["generation"] == generation, now
    ids = {member.id: member.address for member in zk.members()}
    claimed = {int(i): claim["address"] for i, claim in now["members"].items()}
    assert ids.items() <= claimed.items(), (ids, claimed)


def forget_zkboot(zk: Group) -> None:
    """Take away all that tells zkboot of an ensemble: what remains is servers that run, as others might have built them."""
    for machine in zk.living:  # a turn in the middle of it would write the record again
        machine.freeze_zkboot()
        machine.kill_zkboot()
    s3, ssm = zk.region.client("s3"), zk.region.client("ssm")
    for key in zk.region.objects("control/"):
        s3.delete_object(Bucket=BUCKET, Key=key)
    ssm.delete_parameter(Name=f"/zkboot/{zk.plan.cluster}/cluster-id")
    for machine in zk.living:
        for file in ("vol/data/zkboot.json", "var/zkboot/state.json"):
            (machine.root / file).unlink(missing_ok=True)
    with ensemble.client(zk.living[0].address, 60) as client:
        client.delete("/zkboot")
    for machine in zk.living:
        machine.thaw_zkboot()


# --- what is said


def count_said(machine: Machine, pattern: str) -> int:
    return sum(bool(re.search(pattern, line)) for line in machine.log().splitlines())


def hear(machine: Machine, pattern: str, region: Region, deadline: float = DEADLINE) -> str:
    """Wait until the machine has said it, ever; returns the last such line."""
    return str(region.wait_until(lambda: machine.said(pattern), f"{machine} says /{pattern}/", deadline))


@contextmanager
def says(region: Region, pattern: str, *machines: Machine, deadline: float = DEADLINE) -> Iterator[None]:
    """Each of the machines says it anew, during the block or after it."""
    before = {machine.instance_id: count_said(machine, pattern) for machine in machines}
    yield
    for machine in machines:

        def anew(machine: Machine = machine) -> bool:
            return count_said(machine, pattern) > before[machine.instance_id]

        region.wait_until(anew, f"{machine} says /{pattern}/ again", deadline)


@contextmanager
def one_says(region: Region, pattern: str, *machines: Machine, deadline: float = DEADLINE) -> Iterator[None]:
    """At least one of the machines says it anew, during the block or after it."""

    def count() -> int:
        return sum(count_said(machine, pattern) for machine in machines)

    before = count()
    yield
    region.wait_until(lambda: count() > before, f"one of {machines} says /{pattern}/ again", deadline)


def looked_again(region: Region, *machines: Machine) -> None:
    """Wait until zkboot on each of them has asked AWS some more: it has gone through at least one whole turn."""
    before = calls(region, *machines)
    region.wait_until(lambda: whole_turns_since(region, before), f"{machines} take whole turns")


def calls(region: Region, *machines: Machine) -> dict[str, int]:
    """How many AWS calls each has made, by instance id."""
    return {machine.instance_id: sum(region.calls(machine).values()) for machine in machines}


def whole_turns_since(region: Region, before: dict[str, int]) -> bool:
    return all(calls(region, region.machines[key])[key] > count + 16 for key, count in before.items())


# --- machines


class Orders(dict[int, str]):
    """Which step of which machine (0 is the first ever launched) is met by what: `before:claim:kill`. A group's `environment`.

    Where a file is `shared`, an order is met by the first of the machines that comes to its step.
    """

    shared: Path | None = None

    def __call__(self, index: int) -> Mapping[str, str]:
        if index not in self:
            return {}
        return {"ZKBOOT_LAB_STEP": self[index], "ZKBOOT_LAB_STEPS_SHARED": str(self.shared or "")}


def hide_disk(machine: Machine) -> None:
    """An empty volume in the place of its own, which is kept for `return_disk`."""
    volume = machine.root / "vol"
    volume.rename(machine.root / "vol.hidden")
    volume.mkdir()
    (volume / MARKER).touch()


def return_disk(machine: Machine) -> None:
    volume = machine.root / "vol"
    shutil.rmtree(volume)
    (machine.root / "vol.hidden").rename(volume)


def serves_again(zk: Group, machine: Machine, before: int) -> None:
    """Wait until another server than that process serves on it."""
    zk.wait_until(lambda: machine.server_pid not in (0, before) and machine.answer(), f"{machine} serves again")


def newest(zk: Group) -> Machine:
    return list(zk.machines.values())[-1]


def launched(zk: Group, count: int = 1) -> Callable[[], list[Machine]]:
    """A condition: the `count` machines launched after this call, [] until then."""
    known = set(zk.machines)

    def found() -> list[Machine]:
        new = [machine for key, machine in list(zk.machines.items()) if key not in known]
        return new if len(new) >= count else []

    return found


def nobody_serves(zk: Group) -> bool:
    return not any(zk.modes().values())


def servers_of(machine: Machine) -> int:
    """How many server processes run on it."""
    from tests.lab import processes

    pids = machine.zkboot_pids() | {machine.server_pid}
    lines = [processes.command_line(pid) for pid in pids if pid]
    return sum(line[0].endswith("java") for line in lines)
