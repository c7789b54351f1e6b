"""What a person's command refuses, in words that name the next step."""

from types import SimpleNamespace

import pytest

from tests.unit.test_cli_render import CONFIGURATION, DATA, RECORD, SERVING
from zkboot import adoptions, commands
from zkboot.commands import Refused
from zkboot.errors import UnknownFact
from zkboot.model import Configuration, Disk, DiskState, Identity, Intent, Observation, Process, Unknown
from zkboot.observe import Seen
from zkboot.settings_keys import Aws, Settings
from zkboot.world import View


def refused(seen: Observation, command: str = "reseed") -> str:
    """Before the world or the settings are asked for anything."""
    with pytest.raises(Refused) as found:
        commands.intend(None, None, Seen(seen, ""), command, False, "")  # type: ignore[arg-type]
    return str(found.value)


@pytest.mark.parametrize(
    ("created", "identity", "says"),
    [
        ((1, 2), Identity("c1", 1), "of generation 1 of cluster c1, and generation 2 was created since"),
        ((2,), Identity("other", 7), "of generation 7 of cluster other, and the record is of cluster c1"),
        ((), Identity("other", 1), "of generation 1 of cluster other, and the record is of cluster c1"),
        ((2,), None, "of no cluster, and the record is of cluster c1"),
    ],
)
def test_data_that_does_not_count_is_not_reseeded_from(created: tuple[int, ...], identity: Identity | None, says: str) -> None:
    disk = Disk(DiskState.DATA, identity=identity)
    told = refused(SERVING._replace(quorum=None, record=RECORD._replace(created=created, intent=None), disk=disk))
    assert f"this node's data is {says}: run it on a member that has that" in told


def test_another_command_that_stands_is_named_with_what_withdraws_it() -> None:
    told = refused(SERVING._replace(record=RECORD._replace(intent=Intent("restore", "i-9", "backup-1", 0.0))))
    assert "`restore` of backup-1 from i-9 stands in the record already" in told
    assert "`zkboot restore --abort` on any node" in told


def test_without_a_record_the_next_step_is_named() -> None:
    assert "`zkboot plan` says" in refused(SERVING._replace(record=None))


def test_a_record_that_cannot_be_read_is_unknown_and_may_be_tried_again() -> None:
    seen = SERVING._replace(record=Unknown("s3:GetObject: throttled"))
    with pytest.raises(UnknownFact, match="nothing was done, as the cluster's record could not be read: s3:GetObject: throttled"):
        commands.known_record(Seen(seen, ""))


def test_an_ensemble_is_not_adopted_whose_servers_would_be_looked_for_where_they_are_not() -> None:
    first, *others = CONFIGURATION.servers
    view = View(Configuration(1, (first, *(s._replace(client_port=2190 + s.id) for s in others))), None)
    server = SimpleNamespace(process=Process, view=lambda through: view)
    world, settings = SimpleNamespace(server=server), Settings("demo", Aws("bucket"))
    with pytest.raises(Refused, match=r"is 2181, .* by server 2 at 2192, server 3 at 2193, server 4 at 2194: nothing was done"):
        adoptions.take_in(world, settings, SERVING.me, Disk(DiskState.DATA, data=DATA), None, "10.0.0.2")  # type: ignore[arg-type]
