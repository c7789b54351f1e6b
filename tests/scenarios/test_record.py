"""The record is lost, or things of different clusters meet: nothing is created over what exists, and the sentence names both."""

from tests.lab.group import Group
from tests.lab.machines import Machine
from tests.lab.region import Region
from tests.scenarios.story import (
    created_once,
    delete_record,
    every_write_kept,
    hear,
    looked_again,
    nobody_serves,
    one_says,
    put_record,
    record,
    says,
)


def test_the_record_deleted_under_a_live_ensemble_is_written_again(zk: Group) -> None:
    before = record(zk)
    with every_write_kept(zk):
        delete_record(zk)
        adopted = rf"the record is missing while cluster {before['cluster_id']} serves: written again"
        with one_says(zk.region, adopted, *zk.living):
            zk.followers()[0].kill_server()
        zk.wait_serving(3)
    after = record(zk)
    for fact in ("cluster_id", "generation", "state"):
        assert after[fact] == before[fact], fact
    created_once(zk, before["generation"])


def test_the_record_deleted_under_a_stopped_ensemble_halts(zk: Group) -> None:
    generation = record(zk)["generation"]
    with every_write_kept(zk):
        for machine in zk.living:
            machine.power_cut()
        lost = delete_record(zk)
        with says(zk.region, r"halted: cluster zk has no record, but there is data on this disk of cluster \w+", *zk.living):
            for machine in zk.living:
                machine.power_on()
        assert nobody_serves(zk) and record(zk) == {}
        put_record(zk, lost)
        zk.wait_serving(3)
    created_once(zk, generation)


def test_two_clusters_in_one_bucket_and_a_disk_of_the_other(region: Region) -> None:
    a, b = region.group(1, name="a"), region.group(1, name="b")
    with every_write_kept(a), every_write_kept(b):
        a.wait_serving(1)
        b.wait_serving(1)
        ids = record(a)["cluster_id"], record(b)["cluster_id"]
        assert ids[0] != ids[1]

        swap_volumes(a.living[0], b.living[0])
        hear(a.living[0], f"halted: this disk holds cluster {ids[1]}, the record is of cluster {ids[0]}", region)
        hear(b.living[0], f"halted: this disk holds cluster {ids[0]}, the record is of cluster {ids[1]}", region)
        assert nobody_serves(a) and nobody_serves(b)

        swap_volumes(a.living[0], b.living[0])
        a.wait_serving(1)
        b.wait_serving(1)
    assert (record(a)["cluster_id"], record(b)["cluster_id"]) == ids


def swap_volumes(one: Machine, other: Machine) -> None:
    """Each boots with the other's data volume."""
    one.power_cut()
    other.power_cut()
    between = one.root / "vol.between"
    (one.root / "vol").rename(between)
    (other.root / "vol").rename(one.root / "vol")
    between.rename(other.root / "vol")
    one.power_on()
    other.power_on()


def test_a_group_of_the_same_name_in_another_region_halts(region: Region) -> None:
    zk = region.group(1)
    with every_write_kept(zk):
        zk.wait_serving(1)
        before = record(zk)
        stranger = region.group(1, aws_region="us-east-1")
        region.wait_until(lambda: stranger.living, "the other group's instance is there")
        both = r"halted: the record of cluster zk belongs to \d+/eu-west-1/\S+, this node to \d+/us-east-1/"
        hear(stranger.living[0], both, region)
        looked_again(region, stranger.living[0])
        assert not stranger.living[0].server_pid
        refused = stranger.living[0].zkboot("adopt", "--confirm", "zk")
        assert refused.returncode == 1 and "that ensemble may serve, and nothing was done" in refused.stdout
    assert record(zk) == before
