"""An ensemble whose servers listen at other ports than ZooKeeper's own."""

from typing import Any

from tests.lab.machines import Machine
from tests.lab.region import Region
from tests.scenarios.story import created_once, every_write_kept, launched

PORTS = {"client_port": 12181, "quorum_port": 12888, "election_port": 13888}


def test_three_create_a_fourth_joins_and_one_is_replaced_at_the_ports_of_the_settings(region: Region) -> None:
    zk = region.group(3, settings={"zookeeper": PORTS})
    with every_write_kept(zk):
        zk.wait_serving(3)
        zk.scale(4)
        zk.wait_serving(4)
        new = launched(zk)
        region.lose(zk.followers()[0])
        zk.wait_until(new, "a replacement is launched")
        zk.wait_serving(4)
    created_once(zk)
    servers = zk.wait_until(lambda: found_healthy(zk.leader()), "the leader finds all healthy")
    refused = zk.leader().zkboot("--set", "zookeeper.client_port=2181", "status")
    assert refused.returncode == 2 and "listens at 12181" in refused.stdout and "set it to 12181" in refused.stdout
    assert [{name: server[name] for name in PORTS} for server in servers] == [PORTS] * 4


def found_healthy(machine: Machine) -> list[dict[str, Any]]:
    """The servers of the configuration, where `zkboot status` calls all healthy."""
    seen = machine.status()
    return seen["observation"]["quorum"]["configuration"]["servers"] if seen["decision"]["action"] == "healthy" else []
