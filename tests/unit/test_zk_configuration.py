"""Membership files, answers to four-letter words, figures computed, zoo.cfg."""

from pathlib import Path

import pytest

from zkboot.errors import SettingsError, UnknownFact
from zkboot.model import Change, Configuration, Mode, Role, Server
from zkboot.settings_keys import Aws, Settings, Zookeeper
from zkboot.world import Peer
from zkboot.zookeeper import configuration, fourletter, membership, service, sizing, zoo_cfg

MIB = 1 << 20


def test_lines_are_read_as_zookeeper_writes_them_and_written_alike() -> None:
    text = (
        "server.1=10.0.0.1:2888:3888:participant;10.0.0.1:2181\n"
        "server.2=10.0.0.2:1:2:observer;3\n"
        "server.3=[fd00::3]:2888:3888;[fd00::3]:2181\n"
        "version=10000000e\n"
    )
    found = configuration.parse(text)
    assert found == Configuration(
        0x10000000E,
        (Server(1, "10.0.0.1"), Server(2, "10.0.0.2", Role.OBSERVER, 3, 1, 2), Server(3, "fd00::3")),
    )
    assert configuration.parse(configuration.text_of(found), found.version) == found
    assert "version" not in configuration.text_of(found)


def test_a_line_without_a_client_port_has_that_of_whoever_shows_it() -> None:
    """A clientPort of zoo.cfg itself stands in no line of /zookeeper/config (seen of ZooKeeper 3.9.5)."""
    text = "server.1=10.0.0.1:12888:13888:participant\nserver.2=10.0.0.2:1:2;3\nversion=0"
    own, other = configuration.parse(text, client_port=12181).servers
    assert own == Server(1, "10.0.0.1", Role.PARTICIPANT, 12181, 12888, 13888) and other.client_port == 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "server.x=1:2:3",
        "server.1=10.0.0.1",
        "server.1=a:1:2:witness;3",
        "server.1=a:1:2\ngroup.1=1",
        "server.1=a:1:2|b:1:2;3",
    ],
)
def test_what_votes_cannot_be_counted_by_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        configuration.parse(text)


def test_the_version_is_in_the_files_name(tmp_path: Path) -> None:
    conf, servers = str(tmp_path), (Server(1, "10.0.0.1"), Server(2, "10.0.0.2"))
    assert configuration.committed(conf) is None
    for version in (0, 0x10000000E):
        written = Configuration(version, servers)
        configuration.write(conf, written)
        assert configuration.committed(conf) == written
    assert configuration.pointer(conf) == f"{conf}/zoo.cfg.dynamic.10000000e"
    configuration.write(conf, Configuration(7, servers[:1]))
    for name in ("zoo.cfg.dynamic.next.tmp", "zoo.cfg.dynamic.9.tmp", "zoo.cfg.dynamic.9.zkboot-new"):
        (tmp_path / name).write_text("")  # being written this moment
    own = configuration.own_server(conf, 2)
    assert own == servers[1]
    assert configuration.own_server(conf, 3) is None


def test_a_file_that_is_named_and_missing_or_not_understood_is_unknown(tmp_path: Path) -> None:
    configuration.point_to(str(tmp_path), f"{tmp_path}/zoo.cfg.dynamic.5")
    with pytest.raises(UnknownFact, match=r"dynamic\.5, which is not there"):
        configuration.committed(str(tmp_path))
    (tmp_path / "zoo.cfg.dynamic.5").write_text("")
    with pytest.raises(UnknownFact, match=r"dynamic\.5: not a configuration"):
        configuration.committed(str(tmp_path))


SRVR = "Zookeeper version: 3.9.5\nLatency min/avg/max: 0/0.0/0\nZxid: 0x100000007\nMode: {}\nNode count: 5\n"


def test_answers() -> None:
    assert fourletter.parse_srvr(SRVR.format("observer")) == Peer(Mode.OBSERVER, 0x100000007)
    assert fourletter.parse_srvr("This ZooKeeper instance is not currently serving requests\n") == Peer(Mode.NONE, 0)
    leader = Peer(Mode.LEADER, 1)
    figures = "zk_server_state\tleader\nzk_synced_followers\t3\nzk_synced_non_voting_followers\t1\nzk_quorum_size\t3\n"
    assert fourletter.add_mntr(leader, figures) == Peer(Mode.LEADER, 1, 2, 3)
    assert fourletter.add_mntr(leader, "zk_server_state\tfollower\n") is None


def test_asking_nobody_and_those_who_are_not_there() -> None:
    assert fourletter.ask([], 1) == {}
    assert fourletter.ask([("127.0.0.1", 1)], 1) == {("127.0.0.1", 1): None}


@pytest.mark.parametrize(
    ("memory", "heap"), [(0, "128m"), (512, "256m"), (1900, "896m"), (3 * 1024, "1536m"), (64 * 1024, "8192m")]
)
def test_heap(memory: int, heap: str) -> None:
    assert sizing.heap(memory * MIB) == heap


@pytest.mark.parametrize(
    ("size", "tick", "limit"), [(0, 2000, 10), (1, 2000, 11), (20 * MIB, 2000, 11), (1024 * MIB, 2000, 62), (20 * MIB, 200, 20)]
)
def test_init_limit(size: int, tick: int, limit: int) -> None:
    assert sizing.init_limit(size, tick) == limit


def test_zoo_cfg() -> None:
    settings = Settings("test", Aws("bucket"), zookeeper=Zookeeper(max_session_timeout=60000, extra={"a.b": True, "c": 5}))
    text = zoo_cfg.render(settings, 12, "super:abc=", "/etc/zookeeper/zoo.cfg.dynamic.5")
    values = configuration.properties(text)
    assert len(values) == len(text.splitlines()) and "" not in text.splitlines()
    assert values["initLimit"] == "12"
    assert values["maxSessionTimeout"] == "60000" and "minSessionTimeout" not in values
    assert values["a.b"] == "true" and values["c"] == "5"
    assert values["DigestAuthenticationProvider.superDigest"] == "super:abc="
    assert values["4lw.commands.whitelist"] == "srvr, mntr"
    assert "dynamicConfigFile" not in zoo_cfg.render(settings, 12, "super:abc=", None)


def test_the_super_digest_is_zookeepers() -> None:
    # java org.apache.zookeeper.server.auth.DigestAuthenticationProvider super:test
    assert zoo_cfg.super_digest("test") == "super:D/InIHSb7yEEbrWz8b9l71RjZJU="


def test_a_change_is_seen_to_be_made() -> None:
    one, two = Server(1, "10.0.0.1"), Server(2, "10.0.0.2")
    both = Configuration(9, (one, two))
    assert membership.applied(Change((two,), (), 5), both)
    assert not membership.applied(Change((two._replace(role=Role.OBSERVER),), (), 5), both)
    assert not membership.applied(Change((), (2,), 5), both)
    assert membership.applied(Change((two,), (2,), 5), both)
    assert membership.applied(Change((), (3,), 5), both)


def test_the_java_command(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    for name in ("b.jar", "a.jar", "notes.txt"):
        (tmp_path / "lib" / name).touch()
    settings = Settings("test", Aws("bucket"), zookeeper=Zookeeper(jvm_flags=("-XX:+UseSerialGC",)))
    settings = settings._replace(node=settings.node._replace(zookeeper_home=str(tmp_path)))
    arguments = service.arguments(settings, 4096 * MIB)
    assert {"-Xmx2048m", "-XX:+ExitOnOutOfMemoryError", "-XX:+UseSerialGC"} <= set(arguments)
    assert arguments[arguments.index("-cp") + 1] == f"{tmp_path}/lib/a.jar:{tmp_path}/lib/b.jar"
    assert arguments[-1] == "/etc/zookeeper/zoo.cfg"
    archived = settings._replace(zookeeper=settings.zookeeper._replace(shared_archive="/a.jsa", heap="1g"))
    assert {"-Xmx1g", "-XX:SharedArchiveFile=/a.jsa"} <= set(service.arguments(archived, 4096 * MIB))


def test_the_unit_keeps_what_a_person_needs_afterwards() -> None:
    lib = "/opt/zookeeper/lib"
    unit = Settings("test", Aws("bucket"))
    alone = unit._replace(node=unit.node._replace(service="process"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.files, "listing", {lib: ["a.jar"]}.__getitem__)
        added = set(service.arguments(unit, 4096 * MIB)) - set(service.arguments(alone, 4096 * MIB))
    assert {flag.partition("=")[0] for flag in added} == {
        "-Xlog:gc*,safepoint:file",
        "-XX:+HeapDumpOnOutOfMemoryError",
        "-XX:HeapDumpPath",
    }


@pytest.mark.parametrize(
    ("state", "pid", "age"),
    [
        ("active", 7, 10.0),
        ("activating", 0, 10.0),
        ("deactivating", 7, 10.0),
        ("deactivating", 0, None),
        ("inactive", 0, None),
        ("failed", 0, None),
    ],
)
def test_what_systemd_shows(state: str, pid: int, age: float | None) -> None:
    shown = f"LoadState=loaded\nActiveState={state}\nMainPID={pid}\n{service.SINCE}=90000000\n"
    assert service.parse_show(shown, 100.0) == age


@pytest.mark.parametrize("state", ["maintenance", "unknown"])
def test_a_unit_that_neither_runs_nor_stands_still_is_unknown(state: str) -> None:
    shown = "" if state == "unknown" else f"LoadState=loaded\nActiveState={state}\n"
    with pytest.raises(UnknownFact, match=rf"^zookeeper\.service is {state}; see systemctl status zookeeper\.service$"):
        service.parse_show(shown, 100.0)


def test_a_machine_without_the_unit_needs_other_settings() -> None:
    with pytest.raises(SettingsError, match=r"^node\.service: there is no zookeeper\.service on this machine"):
        service.parse_show("LoadState=not-found\nActiveState=inactive\n", 100.0)
