"""A creation after an earlier generation: an empty tree, in a ZooKeeper epoch above all that was seen before."""

from pathlib import Path

from tests.integration.servers import IDENTITY, PASSWORD, machines
from zkboot.model import Configuration, Mode, Role

EPOCH = 65_536


def test_an_empty_marked_disk_with_raised_epochs_leads_above_them_and_lets_a_joiner_in(tmp_path: Path) -> None:
    with machines(tmp_path, 2) as (seed, joiner):
        alone = Configuration((EPOCH + 1) << 32, (seed.line(),))
        seed.disk.build_empty(IDENTITY, seed.number, alone, EPOCH)
        seed.disk.fence()
        seed.start()
        seed.wait_for(Mode.LEADER)
        seed.server.prove(seed.address, PASSWORD, IDENTITY)
        after = joiner.join(seed, Role.PARTICIPANT)
        assert {s.id for s in after.voters} == {seed.number, joiner.number}
        assert after.version >> 32 == EPOCH + 1
        answer = seed.server.ask(frozenset({seed.address}))[seed.address]
        assert answer is not None and answer.zxid >> 32 == EPOCH + 1
