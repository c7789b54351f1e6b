"""What `status` and `plan` print of an observation."""

import json

from zkboot import render
from zkboot.model import (
    Action,
    Change,
    Claim,
    Configuration,
    Data,
    Decision,
    Disk,
    DiskState,
    Group,
    Holds,
    Identity,
    Instance,
    Limits,
    Me,
    Mode,
    Observation,
    Process,
    Quorum,
    Record,
    Report,
    Role,
    Scope,
    Server,
    State,
    Unknown,
)
from zkboot.reconcile import Turn

SCOPE = Scope("123456789012", "eu-west-1", "vpc-1", "demo")
IDENTITY = Identity("c1", 2)
SERVERS = (Server(1, "10.0.0.1"), Server(2, "10.0.0.2"), Server(3, "10.0.0.3"), Server(4, "10.0.0.4", Role.OBSERVER))
CONFIGURATION = Configuration(0x200000010, SERVERS)
ZONES = dict(zip(range(1, 5), ("eu-west-1a", "eu-west-1b", "eu-west-1c", "eu-west-1a"), strict=True))
MEMBERS = {i: Claim(f"i-{i}", f"10.0.0.{i}", ZONES[i], 0.0) for i in ZONES}
RECORD = Record(17, "n", "c1", SCOPE, 2, State.CREATED, "i-1", True, (1, 2), 65_536, MEMBERS)
INSTANCES = {f"i-{i}": Instance(f"i-{i}", f"10.0.0.{i}", ZONES[i], "running", "InService") for i in (1, 3, 4)}
INSTANCES["i-2"] = Instance("i-2", "10.0.0.2", "eu-west-1b", "terminated", "")
DATA = Data(3, 3, 0x30000003F, CONFIGURATION)
SERVING = Observation(
    me=Me("i-1", "10.0.0.1", "eu-west-1a", SCOPE),
    limits=Limits(),
    cluster="demo",
    taken=False,
    record=RECORD,
    reports={},
    group=Group(4, INSTANCES, True, 1000.0),
    witnesses=(),
    backup=None,
    disk=Disk(DiskState.DATA, identity=IDENTITY, server_id=1, data=DATA),
    server=Process(True, 100.0, Mode.LEADER),
    quorum=Quorum(1, CONFIGURATION, frozenset({1, 3, 4}), frozenset(), True),
    foreign=None,
    held={},
)
CHANGE = Change((Server(4, "10.0.0.4"),), (2,), CONFIGURATION.version)
REASON = "server 4 takes the place of server 2 (i-2 is terminated)"
TURN = Turn(SERVING, Decision(6, Action.RECONFIGURE, REASON, CHANGE), REASON)


def test_status_shows_the_ensemble_its_members_and_this_node() -> None:
    assert render.status(TURN).splitlines() == [
        "cluster demo (c1): generation 2, created; record revision 17",
        "quorum: server 1 leads, 2 of 3 voters serve; 0 more may fail; configuration 0x200000010",
        "  id  role      address   instance  zone        server  instance is",
        "  1   voter     10.0.0.1  i-1       eu-west-1a  leads   running, InService",
        "  2   voter     10.0.0.2  i-2       eu-west-1b  silent  dead",
        "  3   voter     10.0.0.3  i-3       eu-west-1c  serves  running, InService",
        "  4   observer  10.0.0.4  i-4       eu-west-1a  serves  running, InService",
        "group: 3 instances in service or on their way, 4 desired",
        "this node: i-1, 10.0.0.1, eu-west-1a; server 1, leader; disk: data of generation 2 up to 0x30000003f",
        f"next turn (row 6, reconfigure): {REASON}",
        "  reconfigure 0x200000010: joining server 4 at 10.0.0.4 as participant; leaving server 2",
    ]


def test_without_a_quorum_status_shows_what_the_members_report() -> None:
    reports = {
        "i-1": Report("i-1", "10.0.0.1", Holds.DATA, IDENTITY, 1, 17, DATA, ()),
        "i-3": Report("i-3", "10.0.0.3", Holds.EMPTY, None, None, 17, None, ()),
    }
    seen = SERVING._replace(
        quorum=None, reports=reports, server=Process(False), group=Unknown("EC2 does not answer"), taken=Unknown("no metadata")
    )
    shown = render.status(Turn(seen, Decision(11, Action.WAIT, "waiting"), "waiting")).splitlines()
    assert "quorum: none is seen to serve" in shown
    assert "  2   voter     10.0.0.2  i-2       eu-west-1b  ?       unknown" in shown
    assert shown[7:] == [
        "  report of  address   holds  server  generation  epoch  zxid",
        "  i-1        10.0.0.1  data   1       2           3      0x30000003f",
        "  i-3        10.0.0.3  empty  -       -           -      -",
        "group: unknown: EC2 does not answer",
        "this node: i-1, 10.0.0.1, eu-west-1a; server 1, stopped; disk: data of generation 2 up to 0x30000003f",
        "whether the group is taking it is unknown: no metadata",
        "next turn (row 11, wait): waiting",
    ]


def test_unknown_facts_are_shown_as_such_and_nothing_is_made_of_them() -> None:
    lost = Unknown("no answer")
    seen = SERVING._replace(
        record=lost,
        reports=lost,
        group=lost,
        quorum=lost,
        taken=True,
        disk=Disk(DiskState.UNKNOWN, "not mounted", promised=True),
        server=Process(True, 5.0),
    )
    assert render.status(Turn(seen, Decision(11, Action.WAIT, "waiting"), "waiting")).splitlines() == [
        "cluster demo: the record is unknown: no answer",
        "quorum: unknown: no answer",
        "reports: unknown: no answer",
        "group: unknown: no answer",
        "this node: i-1, 10.0.0.1, eu-west-1a; no server id, runs, does not serve; disk: unknown (not mounted)",
        "the group is taking this node",
        "its server stays stopped: it has promised that its disk is empty",
        "next turn (row 11, wait): waiting",
    ]


def test_before_the_first_record() -> None:
    seen = SERVING._replace(record=None, quorum=None, disk=Disk(DiskState.EMPTY), server=Process(False))
    assert render.status(Turn(seen, Decision(13, Action.WAIT, "waiting"), "waiting")).splitlines() == [
        "cluster demo: no record yet",
        "quorum: none is seen to serve",
        "group: 3 instances in service or on their way, 4 desired; registered: none",
        "this node: i-1, 10.0.0.1, eu-west-1a; no server id, stopped; disk: empty",
        "next turn (row 13, wait): waiting",
    ]


def test_a_turn_that_saw_nothing_is_a_plan_alone() -> None:
    assert render.status(Turn(None, Decision(0, Action.WAIT, "a"), "a")) == "next turn (row 0, wait): a"


def test_json_is_the_model_itself() -> None:
    told = json.loads(render.status_json(TURN))
    assert told["decision"] == json.loads(render.plan_json(TURN))
    assert told["decision"]["change"] == {
        "joining": [
            {
                "id": 4,
                "address": "10.0.0.4",
                "role": "participant",
                "client_port": 2181,
                "quorum_port": 2888,
                "election_port": 3888,
            }
        ],
        "leaving": [2],
        "version": CONFIGURATION.version,
    }
    assert told["observation"]["quorum"]["serving"] == [1, 3, 4]
    assert told["observation"]["record"]["members"]["2"]["instance_id"] == "i-2"
    assert told["observation"]["backup"] is None
    unknown = TURN._replace(observation=SERVING._replace(group=Unknown("no answer")))
    assert json.loads(render.status_json(unknown))["observation"]["group"] == {"unknown": "no answer"}
