"""A backup is restored where no record is: in another region, from the second bucket, and where all is gone but the backups."""

import inspect
import json
import re
import signal
from typing import Any

import pytest

from tests.backup.bucket import newest, prefix
from tests.lab.group import Group
from tests.lab.machines import Machine
from tests.lab.region import Region
from tests.scenarios.restores import CONFIRM, backed_up, given_up
from tests.scenarios.story import LONG, created_once, delete_record, every_write_kept, hear, record
from tests.scenarios.survivors import ensemble_of, written
from zkboot import restores
from zkboot.backup.manifest import VERIFIED

COPIES, THERE = "zkboot-lab-copies", "us-west-2"
COPIED: dict[str, Any] = {"backup": {"copy_bucket": COPIES, "copy_region": THERE}}
ADOPTED = ("--adopt-cluster-id", *CONFIRM)
LOST = r"halted: cluster zk has no record, but there is .*`zkboot restore --adopt-cluster-id` on one node goes on from the newest"


def with_copies(region: Region) -> Group:
    """Three that serve, and a bucket in another region that their backups are copied to."""
    region.client("s3", THERE).create_bucket(Bucket=COPIES, CreateBucketConfiguration={"LocationConstraint": THERE})
    zk = region.group(3, settings=COPIED)
    region.client("iam").put_role_policy(
        RoleName=f"zkboot-{zk.plan.key}", PolicyName="copies", PolicyDocument=json.dumps(may_copy(prefix(zk)))
    )
    zk.wait_serving(3, LONG)
    return zk


def may_copy(to: str) -> dict[str, Any]:
    """As Terraform allows it where the settings name a second bucket."""
    there = f"arn:aws:s3:::{COPIES}"
    objects = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    listing = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
    allowed = [(objects, f"{there}/{to}*"), (listing, there)]
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": a, "Resource": r} for a, r in allowed]}


def lost(zk: Group) -> None:
    """Every instance is gone, and none is launched again."""
    zk.region.no_capacity("a", "b", "c")
    for machine in zk.living:
        zk.region.lose(machine)


def elsewhere(region: Region, **options: Any) -> Group:
    """The cluster's group in the other region, whose bucket is that of the copies: it halts."""
    zk = region.group(3, aws_region=THERE, bucket=COPIES, **options)
    zk.wait_until(lambda: len(zk.living) == 3, "three are launched there")
    for machine in zk.living:
        hear(machine, LOST, region, LONG)
    assert record(zk) == {}
    return zk


def copied(zk: Group) -> set[str]:
    """The names of what is whole in the second bucket."""
    found = zk.region.client("s3", THERE).list_objects_v2(Bucket=COPIES, Prefix=prefix(zk)).get("Contents", [])
    keys = [str(item["Key"]).removeprefix(prefix(zk)) for item in found]
    return {key.removesuffix(VERIFIED) for key in keys if key.endswith(VERIFIED)}


def begun_from(name: str, typed: str) -> bool:
    return bool(re.search(rf"restored at 0x[0-9a-f]+ from backup {name} \(", typed.splitlines()[-1]))


@pytest.mark.long
def test_the_last_backup_of_a_group_that_goes_to_zero_is_copied_too(region: Region) -> None:
    zk = with_copies(region)
    with every_write_kept(zk):
        pass
    zk.scale(0)
    zk.wait_until(lambda: not zk.living, "all have gone", LONG)
    assert newest(zk) in copied(zk)
    assert region.gateway.refused == []


def test_a_region_is_lost_and_its_cluster_goes_on_in_another(region: Region) -> None:
    """The second bucket is all that is left: a stack whose bucket that is says what to type, and one command does it."""
    zk = with_copies(region)
    name, held = backed_up(zk)
    later, before = given_up(zk, held), record(zk)
    lost(zk)
    there = elsewhere(region)
    typing, other, _ = there.living
    refused = typing.zkboot("restore", *CONFIRM)
    assert refused.returncode == 1 and "no cluster zk was ever here" in refused.stdout, refused.stdout
    assert "--adopt-cluster-id" in refused.stdout and record(there) == {}
    done = typing.zkboot("restore", *ADOPTED, timeout=LONG)
    assert done.returncode == 0 and begun_from(name, done.stdout), done.stdout
    again = other.zkboot("restore", *ADOPTED)
    assert again.returncode == 1 and "To replace it all the same add --replace-live" in again.stdout, again.stdout
    there.wait_serving(3, LONG)
    created_once(there, before["generation"] + 1)
    assert record(there)["cluster_id"] == before["cluster_id"] and record(there)["scope"]["region"] == THERE
    assert held <= written(there) and not later & written(there)
    goes_on_being_backed_up(there, name)
    assert region.gateway.refused == []


def goes_on_being_backed_up(zk: Group, name: str) -> None:
    """The cluster's backups go on where its copies lie."""
    done = zk.living[0].zkboot("backup", timeout=LONG)
    assert done.returncode == 0 and newest(zk) > name, done.stdout


@pytest.mark.long
def test_all_is_gone_but_the_backups_and_the_parameter(region: Region) -> None:
    """The record is deleted while somebody still holds data: put it back. Once nobody does, the backup begins anew."""
    zk = ensemble_of(region, 3)
    name, held = backed_up(zk)
    before = record(zk)
    first, second, third = zk.living
    serving = "an ensemble serves, whose members write it again"
    for machine in zk.living:  # else one of them writes the record again at once
        machine.freeze_zkboot()
        machine.kill_zkboot()
    delete_record(zk)
    refused = third.zkboot("restore", *CONFIRM)
    assert refused.returncode == 1 and serving in refused.stdout and "nothing was done" in refused.stdout, refused.stdout
    for machine in (first, second):
        machine.power_cut()
    refused = third.zkboot("restore", *CONFIRM)
    assert refused.returncode == 1 and "this node's disk is data" in refused.stdout, refused.stdout
    for machine in (second, third):
        region.lose(machine)
    zk.wait_until(lambda: len(zk.living) == 3, "two are launched in their place", LONG)
    new = zk.living[-1]
    hear(new, LOST, region, LONG)
    refused = new.zkboot("restore", *CONFIRM)
    assert refused.returncode == 1 and f"{first.instance_id} (data) may hold data of it" in refused.stdout, refused.stdout
    assert record(zk) == {}
    region.lose(first)
    zk.wait_until(lambda: len(zk.living) == 3, "the last one is replaced", LONG)
    for machine in zk.living:
        hear(machine, LOST, region, LONG)
    done = zk.living[0].zkboot("restore", *CONFIRM, timeout=LONG)
    assert done.returncode == 0 and begun_from(name, done.stdout), done.stdout
    zk.wait_serving(3, LONG)
    created_once(zk, before["generation"] + 1)
    assert record(zk)["cluster_id"] == before["cluster_id"] and held <= written(zk)


@pytest.mark.long
def test_of_two_that_begin_at_once_one_wins_and_the_other_says_so(region: Region) -> None:
    zk = with_copies(region)
    name, held = backed_up(zk)
    lost(zk)
    there = elsewhere(region)
    two = there.living[:2]
    typed = [standing(there, machine, "before:report joining:pause") for machine in two]
    for machine in two:
        machine.set_environment(ZKBOOT_LAB_STEP=None)

    def ended() -> bool:
        for machine in two:
            machine.thaw_zkboot()
        return all(process.poll() is not None for process in typed)

    there.wait_until(ended, "both have ended", LONG)
    said = [(process.returncode, process.communicate(timeout=LONG)[0]) for process in typed]
    (_, winner), (_, loser) = sorted(said)
    assert sorted(code for code, _ in said) == [0, 1] and begun_from(name, winner), said
    assert "another node wrote the record this moment: nothing was done" in loser, loser
    there.wait_serving(3, LONG)
    created_once(there, 2)
    assert held <= written(there)


def standing(zk: Group, machine: Machine, order: str) -> Any:
    """A restore typed on that machine, which has come to a stop at its step."""
    machine.stop_at_step(order)
    process = machine.start_zkboot("restore", *ADOPTED)
    zk.wait_until(lambda: machine.stopped_at_step, f"{machine} stands still {order}", LONG)
    return process


BEGINNING = ("report joining", "begin")


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", BEGINNING)
def test_a_beginning_is_killed_and_typed_again(region: Region, step: str, when: str) -> None:
    zk = with_copies(region)
    _, held = backed_up(zk)
    lost(zk)
    there = elsewhere(region)
    typing = there.living[0]
    typing.stop_at_step(f"{when}:{step}:kill")
    killed = typing.zkboot("restore", *ADOPTED, timeout=LONG)
    assert killed.returncode == -signal.SIGKILL, killed.stdout
    typing.set_environment(ZKBOOT_LAB_STEP=None)
    again = typing.zkboot("restore", *ADOPTED, timeout=LONG)
    # What was killed right after it had written the record is finished by the timer, which may have come first.
    finished = again.returncode == 1 and "an ensemble of generation 2 serves" in again.stdout
    assert again.returncode == 0 or (finished and (when, step) == ("after", "begin")), again.stdout
    there.wait_serving(3, LONG)
    created_once(there, 2)
    assert held <= written(there)


def test_no_step_of_a_beginning_is_left_out() -> None:
    named = set(re.findall(r'step\("([a-z ]+)"\)', inspect.getsource(restores)))
    assert named == set(BEGINNING), named
