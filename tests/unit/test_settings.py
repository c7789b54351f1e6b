"""The settings: every problem is named at once, with file, line and key."""

from pathlib import Path

import pytest

from zkboot import older_keys, settings
from zkboot.errors import SettingsError
from zkboot.model import Limits, Ports
from zkboot.settings_keys import EXTRA, KEYS, SECTIONS
from zkboot.settings_problems import WRITTEN

REQUIRED = {"cluster": "demo", "aws.bucket": "demo-bucket"}


@pytest.fixture(autouse=True)
def no_settings_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ZKBOOT_CONFIG", raising=False)
    monkeypatch.setattr(settings, "DEFAULT_PATH", str(tmp_path / "none.toml"))


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str) -> str:
        path = tmp_path / "zkboot.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def problems(path: str | None, overrides: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        settings.load(path, overrides)
    assert caught.value.exit_code == 2
    lines = str(caught.value).splitlines()
    return [line.strip() for line in (lines if len(lines) == 1 else lines[1:])]


def problem(**overrides: str) -> str:
    """The one problem of otherwise good settings; `node__volume` stands for node.volume."""
    (only,) = problems(None, REQUIRED | {key.replace("__", "."): value for key, value in overrides.items()})
    return only.removeprefix("--set: ")


def test_the_least_settings_are_the_cluster_and_its_bucket() -> None:
    loaded = settings.load(None, REQUIRED)
    assert loaded.cluster == "demo"
    assert loaded.aws.secret == "/zkboot/demo/super"
    assert loaded.aws.witness == "/zkboot/demo/cluster-id"
    assert loaded.node.data_log_dir == loaded.node.data_dir == "/var/lib/zookeeper/data"
    assert loaded.zookeeper.jvm_flags == ()
    assert (loaded.backup.bucket, loaded.backup.prefix) == ("demo-bucket", "backups/demo/")
    assert loaded.staleness == 14.0
    assert loaded.limits() == Limits(backups=True)


def test_a_file_gives_every_type(write) -> None:
    path = write("""\
        cluster = "demo"
        [aws]
        bucket = "demo-bucket"
        [zookeeper]
        tick_time = 500
        quorum_port = 12888
        jvm_flags = ["-Xlog:gc", "-XX:+UseSerialGC"]
        [zookeeper.extra]
        "quorum.auth.enableSasl" = true
        metricsProvider.httpPort = 7000
        admin = { commandURL = "/commands" }
        [timing]
        turn_pause = 0.5
        [ensemble]
        max_voters = 3
        id_offset = 100
        """)
    loaded = settings.load(path)
    assert loaded.zookeeper.tick_time == 500
    assert loaded.zookeeper.jvm_flags == ("-Xlog:gc", "-XX:+UseSerialGC")
    assert loaded.zookeeper.extra == {
        "quorum.auth.enableSasl": True,
        "metricsProvider.httpPort": 7000,
        "admin.commandURL": "/commands",
    }
    assert loaded.limits() == Limits(max_voters=3, id_offset=100, staleness=3.5, backups=True, ports=Ports(quorum=12888))


def test_all_problems_are_named_at_once_with_file_line_and_key(write) -> None:
    path = write("""\
        cluster = "Demo"

        [aws]
        # bucket = "x"
        region = 7

        [zookeeper]
        tick_tme = 500
        sync_limit = 0
        client_port = "2181"
        max_client_cnxns = true

        [zookeepr]
        heap = "1g"

        [zookeeper.extra]
        tickTime = 1

        [node]
        volume = "/mnt"
        """)
    assert problems(path) == [
        f"{path}: aws.bucket: is required and missing (the S3 bucket of records, reports and backups): "
        f"write it into {path} or give --set aws.bucket=...",
        f'{path}:1: cluster: must be 1 to 40 of a-z, 0-9 and -, not "Demo"',
        f"{path}:5: aws.region: must be a string, not 7",
        f"{path}:8: zookeeper.tick_tme: is no setting; did you mean zookeeper.tick_time? "
        "[zookeeper.extra] passes other keys on to zoo.cfg",
        f"{path}:9: zookeeper.sync_limit: must be from 1 to 1000, not 0 (syncLimit, in ticks)",
        f'{path}:10: zookeeper.client_port: must be a whole number, not "2181"',
        f"{path}:11: zookeeper.max_client_cnxns: must be a whole number, not true",
        f"{path}:13: zookeepr: is no section; did you mean [zookeeper]?",
        f"{path}:17: zookeeper.extra.tickTime: zkboot writes tickTime itself: set zookeeper.tick_time instead",
        f"{path}:20: node.volume: volume must be a folder above data_dir (/var/lib/zookeeper/data), "
        "where the archive lies, not /mnt",
    ]


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"node__data_dir": "/etc/zookeeper/data"}, "data_dir must not be conf_dir (/etc/zookeeper), nor lie in it"),
        ({"node__conf_dir": "/var/lib/zookeeper/data"}, "nor lie in it"),
        ({"node__conf_dir": "/var/lib/zookeeper/data/conf"}, "conf_dir must not be data_dir"),
        ({"node__state_dir": "/var/lib/zookeeper/data/state"}, "must outlive the data"),
        ({"node__volume": "/var/lib", "node__state_dir": "/var/lib/zkboot"}, "state_dir must not be volume"),
        ({"node__volume": "/var/lib/zookeeper/data"}, "volume must be a folder above data_dir"),
        ({"node__data_log_dir": "/var/lib/zookeeper/data/log"}, "or lie apart from it"),
        ({"node__data_dir": "/run/zkboot/data"}, "a reboot empties it"),
        ({"node__data_dir": "data"}, "must be an absolute path"),
        ({"node__data_dir": "/var/../data"}, "must be an absolute path"),
        ({"node__service": "upstart"}, 'must be "systemd" or "process", not "upstart"'),
        ({"ensemble__max_voters": "0"}, "must be from 1 to 255, not 0"),
        ({"ensemble__id_offset": "251"}, "the voters' ids would reach 256"),
        ({"ensemble__id_offset": "-1"}, "must be from 0 to 254, not -1"),
        ({"ensemble__auto_restore": "inf"}, "must be at least 0, not inf"),
        ({"ensemble__auto_restore": "nan"}, "must be at least 0, not nan"),
        ({"zookeeper__client_port": "2888"}, "client_port and quorum_port are both 2888"),
        (
            {"zookeeper__min_session_timeout": "9000", "zookeeper__max_session_timeout": "8000"},
            "(9000 ms) is above the longest (8000 ms)",
        ),
        ({"zookeeper__min_session_timeout": "90000"}, "the shortest session timeout (90000 ms) is above the longest (40000 ms)"),
        ({"zookeeper__heap": "lots"}, 'must be "" or a size for -Xmx such as "512m" or "2g", not "lots"'),
        ({"zookeeper__jvm_flags": '["-Xmx1g"]'}, "the heap is zookeeper.heap"),
        ({"zookeeper__jvm_flags": "7"}, "must be a list of strings, not 7"),
        ({"zookeeper__extra": "7"}, "must be a table, not 7"),
        ({"aws__endpoint_url": "localhost:5000"}, "http://... or https://..."),
        ({"aws": "3"}, "is a section, not a setting"),
        ({"bucket": "b"}, "did you mean aws.bucket?"),
        ({"zookeeper__quantum": "1"}, "[zookeeper.extra] passes other keys on"),
        ({"timing__turn_pause": "61"}, "turn_pause (61 s) must not be above recover_interval (60 s)"),
        ({"timing__start_limit": "1801"}, "start_limit (1801 s) must not be above bootstrap_timeout (1800 s)"),
    ],
)
def test_an_impossible_value_is_one_problem(overrides: dict[str, str], says: str) -> None:
    assert says in problem(**overrides)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"backup__interval": "60"}, "backup.interval: must be 0 (no backups) or at least 3600, not 60"),
        ({"backup__interval": "-1"}, "backup.interval: must be at least 0, not -1"),
        ({"backup__prefix": "control/demo/"}, "backup.prefix: must be"),
        ({"backup__prefix": "control"}, "backup.prefix: must be"),
        ({"backup__prefix": "con"}, "backup.prefix: must be"),
        ({"backup__prefix": "/a/"}, "backup.prefix: must be"),
        ({"backup__bucket": "A"}, "backup.bucket: must be"),
        ({"backup__endpoint": "minio"}, "backup.endpoint: must be"),
        ({"backup__sse": "kms"}, 'backup.sse: must be "", "AES256" or "aws:kms", not "kms"'),
        ({"backup__kms_key": "k"}, 'backup.kms_key: a kms_key is used with sse = "aws:kms" alone, not with ""'),
        ({"backup__aws_secret_key": "secret"}, "backup.aws_secret_key: a command line is seen by everyone on this machine"),
        ({"aws_secret_key": "secret"}, "aws_secret_key: zkboot keeps no keys in its settings: remove it; the instance role"),
        ({"s3_endpoint": "https://x"}, "s3_endpoint: is called backup.endpoint here"),
        ({"backup__s3_bucket": "x"}, "backup.s3_bucket: is called backup.bucket here"),
    ],
)
def test_what_is_wrong_with_backups_and_what_older_tools_had(overrides: dict[str, str], says: str) -> None:
    found = problem(**overrides)
    assert found.startswith(says) and "AKIA" not in found.removeprefix(says) and '"secret"' not in found


def with_keys(lines: str) -> str:
    return f'cluster = "demo"\n[aws]\nbucket = "demo-bucket"\n[backup]\n{lines}'


def test_the_older_tools_keys_become_a_profile_that_nothing_prints(write) -> None:
    path = write(with_keys('aws_access_key = "AKIA"\naws_secret_key = "s/e%c="\n'))
    loaded = settings.load_with_origins(path, {})
    assert loaded.keys == ("AKIA", "s/e%c=") and loaded.settings.backup.profile == older_keys.PROFILE
    assert "AKIA" not in repr(loaded) and "s/e%c=" not in repr(loaded)
    assert loaded.file == path and loaded.origin("backup.profile") == path
    none = settings.load_with_origins(write(with_keys("")), {})
    assert none.keys is None and none.settings.backup.profile == ""


@pytest.mark.parametrize(
    ("lines", "line", "says"),
    [
        ('aws_access_key = "AKIA"', "", "backup.aws_secret_key: is missing: an access key and its secret key go together"),
        ('aws_secret_key = "secret"', "", "backup.aws_access_key: is missing: an access key and its secret key go together"),
        ('aws_access_key = "AKIA"\naws_secret_key = 7', ":6", "backup.aws_secret_key: must be one word, in quotes"),
        ('aws_access_key = "AKIA"\naws_secret_key = "se\\nret"', ":6", "backup.aws_secret_key: must be one word, in quotes"),
        (
            'aws_access_key = "AKIA"\naws_secret_key = "secret"\nprofile = "mine"',
            ":7",
            "backup.profile: names other credentials than backup.aws_access_key and its secret key: remove one of the two",
        ),
    ],
)
def test_keys_that_cannot_be_used_are_named_and_not_shown(write, lines: str, line: str, says: str) -> None:
    path = write(with_keys(lines))
    assert problems(path) == [f"{path}{line}: {says}"]


def test_every_contradiction_is_named() -> None:
    same = dict.fromkeys(("zookeeper.client_port", "zookeeper.quorum_port", "zookeeper.election_port"), "4000")
    assert len(problems(None, REQUIRED | same)) == 3


@pytest.mark.parametrize("key", [*WRITTEN, "zookeeper.skipACL", "SKIPACL", "server.1", "group.1", "weight.1"])
def test_what_zkboot_writes_itself_cannot_be_passed_on(key: str) -> None:
    (said,) = problems(None, REQUIRED | {f"{EXTRA}.{key}": "1"})
    assert "itself" in said


def test_every_key_of_the_template_is_known_as_written() -> None:
    template = (Path(settings.__file__).parent / "templates/zoo.cfg.j2").read_text()
    keys = {line.partition("=")[0] for line in template.splitlines() if "=" in line and not line.startswith("{")}
    assert keys and keys <= set(WRITTEN)


def test_the_settings_named_instead_of_a_zookeeper_key_exist() -> None:
    assert {name for name in WRITTEN.values() if name} <= set(KEYS)


@pytest.mark.parametrize("value", ['"two\\nlines"', '"back\\\\slash"', "1.5", "[1]"])
def test_what_zoo_cfg_cannot_hold_is_not_passed_on(value: str) -> None:
    assert len(problems(None, REQUIRED | {f"{EXTRA}.some.key": value})) == 1


def test_a_string_passed_on_needs_no_quotes_on_the_command_line() -> None:
    loaded = settings.load(None, REQUIRED | {f"{EXTRA}.some.key": "plain", f"{EXTRA}.other": "true"})
    assert loaded.zookeeper.extra == {"some.key": "plain", "other": True}


def test_what_is_not_toml_is_named_with_its_line(write) -> None:
    path = write('cluster = "demo"\n[aws\n')
    (said,) = problems(path)
    assert said.startswith(f"{path}: not valid TOML: ") and "line 2" in said


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    (said,) = problems(str(tmp_path / "other.toml"), REQUIRED)
    assert said == f"{tmp_path}/other.toml: there is no such settings file; give another with --config or ZKBOOT_CONFIG"


def test_the_environment_names_the_file(write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZKBOOT_CONFIG", write('cluster = "from-file"\naws.bucket = "demo-bucket"\n'))
    assert settings.load().cluster == "from-file"
    assert settings.load(None, {"cluster": "from-flag"}).cluster == "from-flag"


def test_each_value_tells_its_origin(write) -> None:
    path = write('cluster = "demo"\n[aws]\nbucket = "demo-bucket"\n[zookeeper]\nextra = { admin.enableServer = false }\n')
    origin = settings.load_with_origins(path, {"aws.region": "eu-west-1"}).origin
    assert origin("cluster") == f"{path}:1"
    assert origin("aws.bucket") == f"{path}:3"
    assert origin("aws.region") == "--set"
    assert origin("zookeeper.extra.admin.enableServer") == f"{path}:5"
    assert origin("timing.turn_pause") == "default"


def test_missing_names_what_must_be_given(write) -> None:
    assert settings.missing(None, {}) == ("cluster", "aws.bucket")
    assert settings.missing(write('cluster = "demo"\n'), {}) == ("aws.bucket",)


def test_every_key_has_a_line_of_help_and_every_section_its_keys() -> None:
    assert all(key.rule.help and "\n" not in key.rule.help for key in KEYS.values())
    assert {name.partition(".")[0] for name in KEYS} == {"cluster", *SECTIONS}


def test_every_default_passes_its_own_rule() -> None:
    given = {
        name: f'"{key.default}"' if key.type is str else str(key.default)
        for name, key in KEYS.items()
        if key.type in (int, float)
    }
    assert settings.load(None, REQUIRED | given) == settings.load(None, REQUIRED)
