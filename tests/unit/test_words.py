"""Lines of servers: who is new listens at the ports of the settings, who is there already keeps its own."""

from tests.unit.test_cli_render import CONFIGURATION, SERVERS, SERVING
from zkboot.actions.configurations import with_me_watching
from zkboot.model import Limits, Ports, Role, Server
from zkboot.words import Words

WORDS = Words(SERVING._replace(limits=Limits(ports=Ports(12181, 12888, 13888))))


def test_a_new_server_listens_at_the_ports_of_the_settings() -> None:
    assert WORDS.line(5, "10.0.0.5") == Server(5, "10.0.0.5", Role.PARTICIPANT, 12181, 12888, 13888)
    found = with_me_watching(CONFIGURATION, WORDS.line(5, "10.0.0.5"))
    assert found.servers == (*SERVERS, WORDS.line(5, "10.0.0.5")._replace(role=Role.OBSERVER))


def test_a_member_that_joins_again_keeps_the_ports_of_its_line() -> None:
    found = with_me_watching(CONFIGURATION, WORDS.line(2, "10.0.0.2"))
    assert found.server(2) == Server(2, "10.0.0.2", Role.OBSERVER)
    moved = with_me_watching(CONFIGURATION, WORDS.line(2, "10.0.0.9"))
    assert moved.server(2) == WORDS.line(2, "10.0.0.9")._replace(role=Role.OBSERVER)
