"""A person's commands: each asks for the cluster's name, works by the intent in the record, and can be withdrawn."""

from subprocess import CompletedProcess

import pytest

from tests.lab import ensemble, faults
from tests.lab.faults import Fault
from tests.lab.group import Group
from tests.lab.machines import Machine
from tests.lab.region import Region
from tests.lab.settings import PATIENT
from tests.scenarios.story import (
    LONG,
    created_once,
    delete_record,
    every_write_kept,
    forget_zkboot,
    hear,
    holder,
    nobody_serves,
    put_record,
    record,
    says,
)

CONFIRM = ("--confirm", "zk")


def test_without_the_clusters_name_or_over_a_live_ensemble_nothing_is_done(zk: Group) -> None:
    before, follower = record(zk), zk.followers()[0]
    with every_write_kept(zk):
        unnamed = follower.zkboot("reseed")
        assert unnamed.returncode == 2 and "--confirm zk" in unnamed.stdout
        live = follower.zkboot("reseed", *CONFIRM)
        assert live.returncode == 1 and "--replace-live" in live.stdout
        careless = follower.zkboot("create", *CONFIRM)
        assert careless.returncode == 2 and "--accept-data-loss" in careless.stdout
        none = follower.zkboot("create", "--abort")
        assert none.returncode == 1 and "no command stands" in none.stdout
    assert record(zk) == before


def test_reseed_over_a_live_ensemble_goes_on_from_the_chosen_node(zk: Group) -> None:
    before, chosen, count = record(zk), zk.followers()[0], zk.tree_count()
    done = chosen.zkboot("reseed", "--replace-live", *CONFIRM, timeout=LONG)
    assert done.returncode == 0, done.stdout
    zk.wait_serving(3, LONG)
    created_once(zk, before["generation"] + 1)
    assert record(zk)["intent"] is None and record(zk)["seed"] == chosen.instance_id
    assert zk.tree_count() >= count
    others = [m for m in zk.living if m is not chosen]
    assert all(list((m.root / "vol/archive").glob(f"{before['generation']}-*/archive.json")) for m in others)


@pytest.mark.long
def test_a_member_that_read_the_record_right_before_the_command_is_woken_again(zk: Group) -> None:
    """Its turn ends after the first wake, with the record of before: to it all is well, and its next turns would be light."""
    generation = record(zk)["generation"]
    late, chosen = sorted(zk.followers(), key=lambda machine: holder(zk, machine))  # who has the higher id leads next
    chosen.stop_at_step("before:intend:pause")
    command = chosen.start_zkboot("reseed", "--replace-live", *CONFIRM)
    zk.wait_until(lambda: chosen.stopped_at_step, "the command is typed")
    version = ensemble.configuration(late.address)[0]
    (late.root / "var/zkboot/state.json").unlink()
    with zk.region.gateway.add(Fault(faults.hang, (late.instance_id,), "autoscaling:DescribeAutoScalingGroups")) as hang:
        zk.wait_until(lambda: hang.met, "a turn has read the record, and waits for the group")
        chosen.thaw_zkboot()
        zk.wait_until(lambda: ensemble.configuration(late.address)[0] > version, "those that serve are woken")
    said, _ = command.communicate(timeout=LONG)
    assert command.returncode == 0, said
    zk.wait_serving(3, LONG)
    created_once(zk, generation + 1)


def test_a_command_that_waits_for_a_silent_member_is_withdrawn_and_nothing_is_lost(zk: Group) -> None:
    generation, (silent, typing, other) = record(zk)["generation"], zk.living
    with every_write_kept(zk):
        silent.power_cut()
        command = typing.start_zkboot("create", "--accept-data-loss", "--replace-live", *CONFIRM)
        # The silent one may have led: an election, too, leaves a moment in which nobody serves.
        zk.wait_until(lambda: record(zk)["intent"] and nobody_serves(zk), "the intent stands, and every living member stops")
        assert record(zk)["intent"]["command"] == "create"
        aborted = other.zkboot("create", "--abort")
        assert aborted.returncode == 0 and "is withdrawn" in aborted.stdout
        assert command.wait(LONG) != 0
        silent.power_on()
        zk.wait_serving(3, LONG)
    created_once(zk, generation)


def test_create_after_all_disks_are_lost_begins_an_empty_generation(region: Region) -> None:
    zk = region.group(3)
    zk.wait_serving(3)
    for machine in zk.living:
        machine.power_cut()
        machine.wipe_disk()
    for machine in zk.living:
        machine.power_on()
    first = zk.living[0]
    hear(first, r"halted: too few voters of cluster zk remain", region)
    plan = region.wait_until(lambda: halted(first.zkboot("plan", "--why")), "its plan is to halt")
    assert "row 22" in plan.stdout and "row 19 does not match" in plan.stdout
    done = first.zkboot("create", "--accept-data-loss", *CONFIRM, timeout=LONG)
    assert done.returncode == 0, done.stdout
    with every_write_kept(zk):
        zk.wait_serving(3, LONG)
    created_once(zk, 2)
    assert record(zk)["zk_epoch"] >= 65_536


def test_an_ensemble_that_others_built_is_adopted_one_member_after_the_other(region: Region) -> None:
    """The timers turn meanwhile, and keep what each held until a person comes to it; EC2 has not listed the last at first."""
    kept = r"waiting: this disk holds what server \d had before zkboot, and is kept: .*`zkboot adopt --through \S+` here takes it"
    zk = region.group(3, settings=PATIENT)
    zk.wait_serving(3)
    forget_zkboot(zk)
    first, _, last = zk.living
    with every_write_kept(zk):
        stop_server(zk, first)
        with region.unlisted(last, first):
            adopt(zk, first)
        assert last.instance_id not in [claim["instance_id"] for claim in record(zk)["members"].values()]
        for machine in zk.living[1:]:
            hear(machine, kept, region)
            assert machine.answer(), "it serves on"
            with says(region, kept, machine):
                stop_server(zk, machine)
            adopt(zk, machine)
        zk.wait_serving(3)
    created_once(zk, 1)
    assert not [machine for machine in zk.living if list(machine.root.glob("vol/archive/*"))]
    follower = zk.followers()[0]
    with every_write_kept(zk):
        follower.reboot()
        zk.wait_serving(3)


def stop_server(zk: Group, machine: Machine) -> None:
    machine.kill_server()
    zk.wait_until(lambda: not machine.server_pid, "its server is stopped")


def adopt(zk: Group, machine: Machine) -> None:
    other = next(m for m in zk.living if m is not machine)
    done = machine.zkboot("adopt", "--through", other.address, *CONFIRM, timeout=LONG)
    assert done.returncode == 0, done.stdout


def test_a_record_does_not_follow_to_another_group_while_the_members_of_its_own_live(zk: Group) -> None:
    before = record(zk)
    other = zk.region.group(1, name="zk-again", cluster="zk", environment=zk.plan.environment, settings=zk.plan.settings)
    (stranger,) = zk.region.wait_until(lambda: other.living, "the second group launches one")
    hear(stranger, "halted: the record of cluster zk belongs to ", zk.region)
    with every_write_kept(zk):
        refused = stranger.zkboot("adopt", *CONFIRM)
        assert refused.returncode == 1, refused.stdout
        assert "of group zk would halt" in refused.stdout and "Empty that group first" in refused.stdout
        assert all(machine.instance_id in refused.stdout for machine in zk.living)
    assert record(zk) == before


def test_an_ensemble_whose_own_record_is_missing_is_not_adopted(zk: Group) -> None:
    """It is a cluster of zkboot's: a new record over it would name another cluster. Nothing is written before that is seen."""
    machine, other, _ = zk.living
    before = record(zk)
    with every_write_kept(zk):
        for one in zk.living:
            one.freeze_zkboot()
            one.kill_zkboot()  # who takes a turn has the lock, frozen too
        machine.kill_server()
        zk.wait_until(lambda: not machine.server_pid, "its server is stopped")
        lost = delete_record(zk)
        there, held = kept_of(zk), told_of_the_ensemble(machine)
        refused = machine.zkboot("adopt", "--through", other.address, *CONFIRM)
        assert refused.returncode == 1, refused.stdout
        assert f"belongs to cluster {before['cluster_id']}, whose record is missing: put it back" in refused.stdout
        assert kept_of(zk) == there and told_of_the_ensemble(machine) == held and not machine.server_pid
        put_record(zk, lost)
        for one in zk.living:
            one.thaw_zkboot()
        zk.wait_serving(3)
    assert record(zk)["cluster_id"] == before["cluster_id"] and record(zk)["generation"] == before["generation"]


def kept_of(zk: Group) -> dict[str, bytes]:
    """What the bucket holds, but for the reports of other groups' machines, which go on."""
    own = tuple(f"control/zk/reports/{machine.instance_id}.json" for machine in zk.living)
    return {key: body for key, body in zk.region.objects().items() if not key.startswith("control/zk/reports/") or key in own}


def told_of_the_ensemble(machine: Machine) -> dict[str, bytes]:
    """The files by which that machine knows an ensemble."""
    found = [machine.root / "vol/data/zkboot.json", *(machine.root / "etc/zookeeper").iterdir()]
    return {path.name: path.read_bytes() for path in found}


def halted(planned: "CompletedProcess[str]") -> "CompletedProcess[str] | None":
    """What was planned, if that is to halt: while a member writes its report, it is to wait."""
    return planned if planned.returncode == 4 else None
