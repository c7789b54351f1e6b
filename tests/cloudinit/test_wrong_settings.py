"""A boot with each setting wrong in turn: the sentence that cloud-init's log gets, and nothing begun."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.lab.settings import merged
from tests.lab.user_data import zkboot_toml
from zkboot.__main__ import main
from zkboot.settings_keys import KEYS

# Each key's wrong value, and how the sentence on it begins after file, line and key.
WRONG: Mapping[str, tuple[Any, str]] = {
    "cluster": ("Orders", 'must be 1 to 40 of a-z, 0-9 and -, not "Orders"'),
    "aws.bucket": ("s3://my-zookeeper", "must be a bucket's name (3 to 63 of a-z, 0-9, - and .), not "),
    "aws.region": ("eu west 1", 'must be "" or one word, not '),
    "aws.group": ("two\nlines", "must be one line of text, not "),
    "aws.endpoint_url": ("localhost:4566", 'must be "" or http://... or https://..., not '),
    "aws.metadata_endpoint": ("https://169.254.169.254/", "must be http://HOST or http://HOST:PORT, not "),
    "aws.log_group": ("my log group", 'must be "" or one word, not '),
    "aws.launch_hook": ("", 'must be one word, not ""'),
    "aws.termination_hook": (True, "must be a string, not true"),
    "aws.secret": ("/zkboot/my secret", 'must be "" or one word, not '),
    "aws.witness": (7, "must be a string, not 7"),
    "node.conf_dir": ("etc/zookeeper", "must be an absolute path without .. or a slash at its end, not "),
    "node.data_dir": ("/var/lib/zookeeper/", "must be an absolute path without .. or a slash at its end, not "),
    "node.data_log_dir": ("/var/lib/../log", 'must be "" or an absolute path without .. or a slash at its end, not '),
    "node.state_dir": ("/", "must be an absolute path without .. or a slash at its end, not "),
    "node.volume": ("/mnt", "volume must be a folder above data_dir (/var/lib/zookeeper/data), where the archive lies, not /mnt"),
    "node.service": ("upstart", 'must be "systemd" or "process", not "upstart"'),
    "node.zookeeper_home": ("", "must be an absolute path without .. or a slash at its end, not "),
    "node.java": ("java -server", "must be one word, not "),
    "node.run_dir": ("run", "must be an absolute path without .. or a slash at its end, not "),
    "ensemble.max_voters": (0, "must be from 1 to 255, not 0 (the most voters"),
    "ensemble.id_offset": (300, "must be from 0 to 254, not 300 (server ids begin above it"),
    "ensemble.auto_restore": (-1, "must be at least 0, not -1 (the greatest age of a backup"),
    "zookeeper.tick_time": ("2000", 'must be a whole number, not "2000"'),
    "zookeeper.init_limit": (-1, "must be from 0 to 100000, not -1 (initLimit"),
    "zookeeper.sync_limit": (0, "must be from 1 to 1000, not 0 (syncLimit"),
    "zookeeper.client_port": (70000, "must be from 1 to 65535, not 70000 (where clients connect"),
    "zookeeper.quorum_port": (2181, "client_port and quorum_port are both 2181"),
    "zookeeper.election_port": (0, "must be from 1 to 65535, not 0 (where leaders are elected"),
    "zookeeper.snap_count": (1, "must be at least 2, not 1 (snapCount"),
    "zookeeper.autopurge_retain": (1, "must be at least 3, not 1 (autopurge.snapRetainCount"),
    "zookeeper.autopurge_interval": (0.5, "must be a whole number, not 0.5"),
    "zookeeper.max_client_cnxns": (False, "must be a whole number, not false"),
    "zookeeper.jute_maxbuffer": (1, "must be from 1024 to 2.14748e+09, not 1 (jute.maxbuffer"),
    "zookeeper.min_session_timeout": (90_000, "the shortest session timeout (90000 ms) is above the longest (40000 ms)"),
    "zookeeper.max_session_timeout": (100, "the shortest session timeout (4000 ms) is above the longest (100 ms)"),
    "zookeeper.heap": ("half", 'must be "" or a size for -Xmx such as "512m" or "2g", not "half"'),
    "zookeeper.jvm_flags": (["-Xmx1g"], "must be options that begin with - (the heap is zookeeper.heap), not "),
    "zookeeper.shared_archive": ("zookeeper.jsa", 'must be "" or an absolute path without .. or a slash at its end, not '),
    "zookeeper.extra": ({"dataDir": "/data"}, "zkboot writes dataDir itself: set node.data_dir instead"),
    "timing.recover_interval": ("minutely", 'must be a number, not "minutely"'),
    "timing.bootstrap_timeout": (1, "start_limit (60 s) must not be above bootstrap_timeout (1 s)"),
    "timing.report_interval": (0, "must be at least 0.1, not 0 (without a quorum"),
    "timing.consistency": (-300, "must be at least 0.1, not -300 (how long EC2"),
    "timing.start_limit": (0, "must be at least 1, not 0 (how long a server's start"),
    "timing.turn_pause": (90, "turn_pause (90 s) must not be above recover_interval (60 s)"),
    "timing.audit_interval": (0, "must be at least 1, not 0 (from one audit"),
    "timing.client_timeout": ([], "must be a number, not []"),
    "timing.ask_timeout": (0, "must be at least 0.05, not 0 (the limit of one"),
    "backup.interval": (60, "must be 0 (no backups) or at least 3600, not 60"),
    "backup.prefix": ("/backups/", 'must be "" or what keys begin with, such as backups/a/: '),
    "backup.bucket": ("s3://my-backups", 'must be "" or a bucket\'s name (3 to 63 of a-z, 0-9, - and .), not '),
    "backup.endpoint": ("localhost:9000", 'must be "" or http://... or https://..., not '),
    "backup.profile": ("my profile", 'must be "" or one word, not '),
    "backup.mode": ("warm", 'must be "hot" or "cold", not "warm"'),
    "backup.keep_count": (-1, "must be at least 0, not -1 (the newest so many"),
    "backup.keep_days": ("a month", 'must be a number, not "a month"'),
    "backup.keep_daily": (1.5, "must be a whole number, not 1.5"),
    "backup.keep_weekly": (-1, "must be at least 0, not -1 (and of so many weeks"),
    "backup.keep_monthly": (True, "must be a whole number, not true"),
    "backup.drill_interval": (60, "must be 0 (no drills) or at least 3600, not 60"),
    "backup.copy_bucket": ("s3://copies", 'must be "" or a bucket\'s name (3 to 63 of a-z, 0-9, - and .), not '),
    "backup.copy_region": ("eu-west-1", "copy_region is of the second bucket, and copy_bucket names none"),
    "backup.copy_endpoint": ("localhost:9000", 'must be "" or http://... or https://..., not '),
    "backup.copy_profile": ("my profile", 'must be "" or one word, not '),
    "backup.copy_kms_key": ("two words", 'must be "" or one word, not '),
    "backup.sse": ("AES512", 'must be "", "AES256" or "aws:kms", not "AES512"'),
    "backup.kms_key": ("two words", 'must be "" or one word, not '),
}


def test_each_setting_has_its_wrong_value() -> None:
    assert list(WRONG) == list(KEYS)


class Boot:
    """A node whose zkboot.toml is given, and on which each thing that zkboot could begin would show."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
        self.path = folder / "zkboot.toml"
        self.path.write_text(zkboot_toml(settings))
        self._folder, self._capsys = folder, capsys

    def zkboot(self, command: str) -> str:
        """What it says; whatever the command, that is an error of the settings, and nothing was begun."""
        assert main([command, "--config", str(self.path)]) == 2
        told = self._capsys.readouterr()
        assert told.out == "" and "Traceback" not in told.err
        assert list(self._folder.iterdir()) == [self.path]
        return told.err


@pytest.fixture(autouse=True)
def nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No systemd; and AWS could not be reached if it was asked."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("ZKBOOT_CONFIG", raising=False)


def good(folder: Path) -> dict[str, Any]:
    return {
        "cluster": "orders",
        "aws": {"bucket": "my-zookeeper", "endpoint_url": "http://127.0.0.1:9", "metadata_endpoint": "http://127.0.0.1:9"},
        "node": {"state_dir": f"{folder}/state"},
    }


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_value(key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value, sentence = WRONG[key]
    section, _, name = key.rpartition(".")
    boot = Boot(tmp_path, merged(good(tmp_path), {section: {name: value}} if section else {name: value}), capsys)
    named = key if key != "zookeeper.extra" else "zookeeper.extra.dataDir"
    first = boot.zkboot("wait")
    place, _, rest = first.partition(f": {named}: ")
    assert rest.startswith(sentence) and rest.count("\n") == 1, first
    file, _, line = place.removeprefix("zkboot: ").rpartition(":")
    assert file == str(boot.path)
    assert json.dumps(value, ensure_ascii=False, separators=(",", ":")) in boot.path.read_text().splitlines()[int(line) - 1] or (
        isinstance(value, dict)
    )
    assert boot.zkboot("recover") == boot.zkboot("bootstrap") == first
    last = boot.zkboot("timers")
    assert last.startswith("zkboot: nothing is started and no timer is switched on: the settings cannot be used")
    assert first not in last, "no sentence twice"


@pytest.mark.parametrize("key", ["cluster", "aws.bucket"])
def test_what_is_required_is_missing(key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = good(tmp_path)
    section, _, name = key.rpartition(".")
    del (settings[section] if section else settings)[name]
    boot = Boot(tmp_path, settings, capsys)
    said = boot.zkboot("wait")
    assert said.startswith(f"zkboot: {boot.path}: {key}: is required and missing (")
    assert f"write it into {boot.path} or give --set {key}=..." in said


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"aws": {"buket": "x"}}, "aws.buket: is no setting; did you mean aws.bucket?"),
        ({"zookeper": {"tick_time": 1000}}, "zookeper: is no section; did you mean [zookeeper]?"),
        ({"tick_time": 1000}, "tick_time: is no setting; did you mean zookeeper.tick_time?"),
        ({"zookeeper": {"globalOutstandingLimit": 7}}, "[zookeeper.extra] passes other keys on to zoo.cfg"),
        ({"zookeeper": {"extra": {"a": "x\ny"}}}, "zookeeper.extra.a: must be one line without a backslash"),
        ({"ensemble": {"id_offset": 253}}, "ensemble.id_offset: the voters' ids would reach 258"),
    ],
    ids=str,
)
def test_what_no_key_is_for(settings: dict[str, Any], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sentence in Boot(tmp_path, merged(good(tmp_path), settings), capsys).zkboot("bootstrap")


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = merged(good(tmp_path), {"cluster": "", "zookeeper": {"tick_time": 1, "snap_count": 0}, "timing": {"a": 1}})
    said = Boot(tmp_path, settings, capsys).zkboot("wait").splitlines()
    assert said[0] == "zkboot: the settings have 4 problems:"
    named = {line.split(": ")[1] for line in said[1:]}
    assert named == {"cluster", "zookeeper.tick_time", "zookeeper.snap_count", "timing.a"}


def test_a_file_that_is_no_toml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    boot = Boot(tmp_path, good(tmp_path), capsys)
    boot.path.write_text('cluster = "orders\n')
    assert boot.zkboot("wait").startswith(f"zkboot: {boot.path}: not valid TOML: ")
