"""A machine's own timer: nobody types anything."""

from tests.lab.group import Group
from tests.lab.region import Region
from zkboot.backup import seen


def verified(zk: Group) -> list[str]:
    return [key for key in zk.region.objects(f"backups/{zk.plan.cluster}/") if key.endswith(".verified.json")]


def test_a_backup_comes_by_itself_and_each_node_knows_how_old_it_is() -> None:
    with Region() as region:
        zk = region.group(size=3, backups=(1.0, 3.0))
        zk.wait_serving(3)
        zk.wait_until(lambda: verified(zk), "one node has made a backup, and read it back", 90)
        states = [f"{machine.root}/var/zkboot" for machine in zk.living]
        known = {key.rpartition("/")[2].removesuffix(".verified.json") for key in verified(zk)}
        zk.wait_until(lambda: all((s := seen.read(state)) and s.name in known for state in states), "each node has seen it", 60)
        assert len(verified(zk)) == 1
