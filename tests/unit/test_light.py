"""What a light turn makes of its facts: it ends only when all is plainly well."""

from types import SimpleNamespace

import pytest

from tests.unit.test_cli_render import CONFIGURATION, SERVING
from zkboot import light
from zkboot.model import Configuration, Mode, Process, Role, Server
from zkboot.notes import Notes
from zkboot.reconcile import settle_light
from zkboot.words import Words
from zkboot.world import Peer, World

FOLLOWER = light.Facts(
    taken=False,
    state={
        "boot": "b1",
        "created": 3,
        "let_in": True,
        "healthy": True,
        "server_id": 2,
        "address": "10.0.0.2",
        "audited": 1000.0,
        "version": 0x300000005,
    },
    generation={"schema": 1, "cluster_id": "c", "generation": 3, "server_id": 2, "seeded": False},
    configuration=Configuration(
        0x300000005,
        (Server(1, "10.0.0.1"), Server(2, "10.0.0.2"), Server(3, "10.0.0.3"), Server(4, "10.0.0.4", Role.OBSERVER)),
    ),
    answer=Peer(Mode.FOLLOWER, 7),
    boot_id="b1",
    uptime=1100.0,
    audit_interval=600.0,
)
LEADER = FOLLOWER._replace(answer=Peer(Mode.LEADER, 7, synced_followers=2, quorum_size=3))
OBSERVER = FOLLOWER._replace(
    answer=Peer(Mode.OBSERVER, 7),
    state=FOLLOWER.state | {"server_id": 4, "address": "10.0.0.4"},
    generation=FOLLOWER.generation | {"server_id": 4},
)


@pytest.mark.parametrize("facts", [FOLLOWER, LEADER, OBSERVER], ids=["follower", "leader", "observer"])
def test_a_healthy_member_ends_its_turn_here(facts: light.Facts) -> None:
    assert light.doubt(facts) == ""


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (FOLLOWER._replace(taken=True), "the group is taking this instance"),
        (FOLLOWER._replace(answer=None), "the server does not serve"),
        (FOLLOWER._replace(answer=Peer(Mode.NONE, 0)), "the server does not serve"),
        (FOLLOWER._replace(answer=Peer(Mode.STANDALONE, 0)), "the server does not serve"),
        (FOLLOWER._replace(state={}), "the disk's generation was not seen created"),
        (FOLLOWER._replace(state={}, generation={}), "the disk's generation was not seen created"),
        (FOLLOWER._replace(state=FOLLOWER.state | {"created": 2}), "the disk's generation was not seen created"),
        (FOLLOWER._replace(state=FOLLOWER.state | {"healthy": False}), "the last full turn found more to do"),
        (FOLLOWER._replace(state=FOLLOWER.state | {"let_in": False}), "the launch hook is not known to be done"),
        (FOLLOWER._replace(state=FOLLOWER.state | {"let_in": "yes"}), "the launch hook is not known to be done"),
        (FOLLOWER._replace(state=FOLLOWER.state | {"version": 7}), "the configuration has changed since the last full turn"),
        (FOLLOWER._replace(configuration=None), "the configuration does not name this node"),
        (FOLLOWER._replace(state=FOLLOWER.state | {"server_id": 7}), "the configuration does not name this node"),
        (FOLLOWER._replace(state=FOLLOWER.state | {"server_id": 1}), "the configuration does not name this node"),
        (FOLLOWER._replace(state=FOLLOWER.state | {"address": "10.0.0.9"}), "the configuration does not name this node"),
        (FOLLOWER._replace(generation=FOLLOWER.generation | {"server_id": 3}), "the configuration does not name this node"),
        (
            OBSERVER._replace(answer=Peer(Mode.FOLLOWER, 7)),
            "the configuration has this node as observer, the server says follower",
        ),
        (
            FOLLOWER._replace(answer=Peer(Mode.OBSERVER, 7)),
            "the configuration has this node as participant, the server says observer",
        ),
        (LEADER._replace(answer=Peer(Mode.LEADER, 7, 1, 3)), "2 of 3 voters are in step"),
        (LEADER._replace(uptime=1600.0), "an audit is due"),
        (LEADER._replace(uptime=900.0), "an audit is due"),
        (LEADER._replace(boot_id="b2"), "an audit is due"),
        (LEADER._replace(state={k: v for k, v in LEADER.state.items() if k != "audited"}), "an audit is due"),
    ],
)
def test_anything_else_leads_to_the_full_turn(facts: light.Facts, why: str) -> None:
    assert light.doubt(facts) == why


def test_a_full_turn_leaves_what_a_light_one_asks_for() -> None:
    seen = SERVING._replace(server=Process(True, 100.0, Mode.LEADER))
    notes = Notes(World(*[SimpleNamespace(load=dict, boot_id=lambda: "b1", monotonic=lambda: 1000.0)] * 7))
    settle_light(notes, Words(seen))
    settle_light(notes, Words(seen))
    left = LEADER._replace(
        state=notes.state,
        configuration=CONFIGURATION,
        generation={"generation": 2, "server_id": 1},
        uptime=1001.0,
    )
    assert light.doubt(left) == ""


def test_a_version_counts_once_a_turn_that_read_the_record_after_it_was_met_found_nothing_to_do() -> None:
    """The first one may have read the record before a person's command was written, and the configuration after it."""
    notes = Notes(World(*[SimpleNamespace(load=dict, boot_id=lambda: "b1", monotonic=lambda: 1000.0)] * 7))
    facts = FOLLOWER._replace(configuration=CONFIGURATION)
    before = SERVING.quorum._replace(configuration=CONFIGURATION._replace(version=CONFIGURATION.version - 1))
    for quorum, why in (
        (before, "the configuration has changed since the last full turn"),
        (before, "the configuration has changed since the last full turn"),
        (SERVING.quorum, "the configuration has changed since the last full turn"),
        (SERVING.quorum, ""),
    ):
        settle_light(notes, Words(SERVING._replace(quorum=quorum)))
        assert light.doubt(facts._replace(state=facts.state | {"version": notes.state.get("version")})) == why


def test_only_the_leader_audits() -> None:
    assert light.doubt(FOLLOWER._replace(uptime=9999.0, boot_id="b2")) == ""


def test_a_plain_recover_is_understood() -> None:
    assert light.understood(["recover"]) == light.Command(None, {}, json=False, quiet=False)
    argv = ["--json", "--config", "/a", "recover", "--set", "cluster=b", "--set=aws.region=c", "--debug"]
    assert light.understood(argv) == light.Command("/a", {"cluster": "b", "aws.region": "c"}, json=True, quiet=False)


@pytest.mark.parametrize(
    "argv", [["--config", "recover", "status"], ["recover", "--help"], ["recover", "now"], ["--set", "recover"]]
)
def test_anything_else_is_left_to_the_command_line(argv: list[str]) -> None:
    assert light.understood(argv) is None


def test_a_light_turn_that_cannot_learn_its_facts_is_none(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not light.ends_here(["recover", "--config", str(tmp_path / "none.toml")])
    assert capsys.readouterr() == ("", "")
