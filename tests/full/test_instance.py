"""What only a booted machine can show."""

import pytest

from tests.lab.full.machine import FullMachine
from tests.lab.full.region import FullRegion
from tests.lab.group import Group
from tests.scenarios.story import every_write_kept


def followers(zk: Group) -> list[FullMachine]:
    return [machine for machine in zk.followers() if isinstance(machine, FullMachine)]


def test_the_data_lies_on_the_volume(zk: Group) -> None:
    region = zk.region
    if isinstance(region, FullRegion) and region.no_volumes:
        pytest.skip(f"SKIPPED, NOT PROVED: {region.no_volumes}")
    for machine in followers(zk):
        mount = machine.run("systemctl", "show", "--property=What,Where,Type", "var-lib-zookeeper.mount").stdout
        assert "Where=/var/lib/zookeeper" in mount and "Type=ext4" in mount, mount
        assert "version-2" in machine.run("ls", "/var/lib/zookeeper/data").stdout


def test_metadata_is_told_by_token_alone(zk: Group) -> None:
    ask = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "http://169.254.169.254/latest/meta-data/"]
    assert followers(zk)[0].run(*ask).stdout == "401"


def test_a_reboot_from_within_runs_no_first_boot_again(zk: Group) -> None:
    machine = followers(zk)[0]
    told = machine.file("/var/log/cloud-init-output.log")
    running = machine.init
    with every_write_kept(zk):
        machine.run("systemctl", "reboot")
        zk.wait_until(lambda: machine.init not in (0, running), "it boots again")
        zk.wait_until(machine.answer, "its server serves again")
        zk.wait_serving(3)
    assert "zkboot" not in machine.file("/var/log/cloud-init-output.log").removeprefix(told)
