"""The command line: exit codes, messages, signals and the node's lock."""

import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from zkboot import __version__, cli, cli_commands, compat
from zkboot.__main__ import main
from zkboot.clock import NodeClock
from zkboot.errors import Halted, UnknownFact, UsageError, ZkbootError
from zkboot.lock import Busy, node_lock
from zkboot.say import Say, as_json, as_text


@pytest.fixture(autouse=True)
def settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "zkboot.toml"
    path.write_text(
        f'cluster = "demo"\naws.bucket = "demo-bucket"\n[node]\nservice = "process"\nstate_dir = "{tmp_path}/state"\n'
    )
    monkeypatch.setenv("ZKBOOT_CONFIG", str(path))
    monkeypatch.delenv("REGION", raising=False)
    return path


# --- what may be typed


def test_options_stand_before_or_after_the_command() -> None:
    options = cli.parse(["--set", "cluster=a", "--json", "config", "--set", "aws.region=eu-west-1", "--config", "/x"])
    assert (options.command, options.config, options.json, options.debug) == ("config", "/x", True, False)
    assert options.set == {"cluster": "a", "aws.region": "eu-west-1"}


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "required: COMMAND; see zkboot --help"),
        (["rebuild"], "see zkboot --help"),
        (["recover", "--gently"], "zkboot recover does not know --gently; see zkboot recover --help"),
        (["config", "--set", "cluster"], "--set cluster: write KEY=VALUE"),
    ],
)
def test_a_wrong_command_line_ends_with_2_and_the_next_step(
    argv: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    assert says in capsys.readouterr().err


def test_wrong_settings_end_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--set", "ensemble.max_voters=0"]) == 2
    assert capsys.readouterr().err.startswith("zkboot: --set: ensemble.max_voters: must be from 1 to 255")


@pytest.mark.parametrize("name", cli.LATER)
def test_what_a_later_version_brings_says_so_and_is_not_advertised(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--accept-data-loss"]) == 1
    assert capsys.readouterr().err.startswith(f"zkboot: `zkboot {name}` is not available in this version ({__version__})")
    with pytest.raises(SystemExit):
        main(["--help"])
    assert f"    {name} " not in capsys.readouterr().out


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_help_teaches_with_an_example_and_the_exit_codes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert f"example:\n  zkboot {name}" in told and "4  halted" in told
    assert callable(getattr(cli_commands, name))


# --- how it ends


@pytest.mark.parametrize(
    ("error", "code"),
    [(ZkbootError("a"), 1), (UsageError("a"), 2), (UnknownFact("a"), 3), (Halted("a"), 4)],
    ids=str,
)
def test_an_error_on_purpose_is_one_message_and_its_code(
    error: ZkbootError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.guarded(lambda: _raise(error), []) == code
    assert capsys.readouterr().err == "zkboot: a\n"


def test_an_error_for_a_machine_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.guarded(lambda: _raise(Halted("a")), ["--json"]) == 4
    assert json.loads(capsys.readouterr().err) == {"error": "a", "exit_code": 4}


def test_a_bug_is_called_one_and_shows_its_traceback_only_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.guarded(lambda: _raise(KeyError("x")), []) == 1
    err = capsys.readouterr().err
    assert err.startswith("zkboot: this is a bug in zkboot: KeyError: 'x'; please report it") and "Traceback" not in err
    assert cli.guarded(lambda: _raise(KeyError("x")), ["--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_command_that_others_have_stopped_for_says_what_is_left_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    cli.guarded(lambda: signal.raise_signal(signal.SIGTERM) or 0, ["--json", "restore", "--before", "2026-11-22"])
    cli.guarded(lambda: signal.raise_signal(signal.SIGTERM) or 0, ["restore", "--abort"])
    stays, goes_on = capsys.readouterr().err.splitlines()
    assert "run it again, or withdraw it: zkboot restore --abort" in stays and "the next turn goes on" in goes_on


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_with_one_sentence(number: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    inherited = signal.signal(number, signal.default_int_handler)  # whoever started the tests may have ignored it
    try:
        assert cli.guarded(lambda: signal.raise_signal(number) or 0, []) == 128 + number
        assert capsys.readouterr().err == f"zkboot: ended by {number.name}; the next turn goes on from here\n"
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, inherited)


def test_what_nohup_has_started_outlives_its_terminal() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert cli.guarded(lambda: signal.raise_signal(signal.SIGHUP) or 7, []) == 7
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_reader_that_has_gone_is_no_bug(settings_file: Path) -> None:
    """`zkboot config | head -0`"""
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run([sys.executable, "-m", "zkboot", "config"], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (1, b"")


def _raise(error: Exception) -> int:
    raise error


# --- commands that need no ensemble


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert main(["version", "--json"]) == 0
    assert capsys.readouterr().out == f'zkboot {__version__}\n{{"version": "{__version__}"}}\n'


def test_config_shows_each_key_with_value_and_origin(settings_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--set", "zookeeper.tick_time=500", "--set", "zookeeper.extra.a.b=7"]
    assert main(["config", "--json", *flags]) == 0
    rows = {row["key"]: (row["value"], row["origin"]) for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert rows["aws.bucket"] == ("demo-bucket", f"{settings_file}:2")
    assert rows["zookeeper.tick_time"] == (500, "--set")
    assert rows["zookeeper.extra.a.b"] == (7, "--set")
    assert rows["zookeeper.jvm_flags"] == ([], "default")
    assert main(["config", *flags]) == 0
    assert '"demo-bucket"' in capsys.readouterr().out


# --- one at a time


class Resting(NodeClock):
    """Its time passes by rest alone."""

    def __init__(self) -> None:
        self.now_is = 0.0

    def monotonic(self) -> float:
        return self.now_is

    def sleep(self, seconds: float) -> None:
        self.now_is += seconds


def test_a_second_zkboot_ends_at_once_or_waits_and_names_the_first(tmp_path: Path) -> None:
    said: list[str] = []
    with node_lock(str(tmp_path), 0, said.append, NodeClock()):
        with (
            pytest.raises(Busy, match=rf"another zkboot \(pid {os.getpid()}\) is at work") as busy,
            node_lock(str(tmp_path), 0, said.append, NodeClock()),
        ):
            pass
        assert busy.value.exit_code == 3 and said == []
        with pytest.raises(Busy), node_lock(str(tmp_path), 0.1, said.append, Resting()):
            pass
        assert said == [f"waiting: another zkboot (pid {os.getpid()}) is at work on this node"]
    with node_lock(str(tmp_path), 0, said.append, NodeClock()):
        pass


def test_the_lock_dies_with_its_holder_and_is_not_inherited(tmp_path: Path) -> None:
    holder = f"""
import subprocess, time
from zkboot.clock import NodeClock
from zkboot.lock import node_lock
with node_lock({str(tmp_path)!r}, 0, print, NodeClock()):
    print(subprocess.Popen(["sleep", "60"], close_fds=False, stdout=subprocess.DEVNULL).pid, flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        with pytest.raises(Busy, match=f"pid {process.pid}"), node_lock(str(tmp_path), 0, print, NodeClock()):
            pass
        process.kill()
        process.wait()
        with node_lock(str(tmp_path), 0, print, NodeClock()):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()


def test_a_lock_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ZkbootError, match="the node's lock cannot be opened: Not a directory; zkboot runs as root"),
        node_lock(str(tmp_path / "file" / "state"), 0, print, NodeClock()),
    ):
        pass


# --- what is said


class Lines:
    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, text: str) -> int:
        self.written.append(text.rstrip("\n"))
        return len(text)

    def flush(self) -> None:
        pass


def test_a_sentence_is_said_when_it_changes_and_each_half_minute_while_it_stays() -> None:
    lines, now = Lines(), [0.0]
    say = Say(lines, lambda _, sentence, facts: f"{sentence} {facts.get('seconds', '')}".strip(), lambda: now[0])
    for seconds, sentence in ((0, "a"), (1, "a"), (29, "a"), (30, "a"), (31, "a"), (60, "a"), (61, "b"), (62, "a"), (90, "a")):
        now[0] = seconds
        say(sentence)
    assert lines.written == ["a", "a 30", "a 60", "b", "a 28"]


def test_a_line_is_for_a_person_or_for_a_machine() -> None:
    assert as_text(0, "waiting", {"seconds": 30, "row": 13}) == "1970-01-01T00:00:00Z waiting (for 30 s)"
    assert json.loads(as_json(0, "waiting", {"row": 13})) == {"time": "1970-01-01T00:00:00Z", "message": "waiting", "row": 13}


# --- the former tool's commands


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[argparse.Namespace]:
    """The parsed command lines that the former names lead to."""
    calls: list[argparse.Namespace] = []

    def record(argv: list[str]) -> int:
        calls.append(cli.parse(argv))
        return 0

    monkeypatch.setattr(compat, "main", record)
    return calls


def test_zk_bootstrap_maps_the_former_flags(called: list[argparse.Namespace]) -> None:
    flags = ["--region", "eu-west-1", "--conf-dir", "/conf", "--data-dir", "/data", "--log-group", "logs"]
    files = ["--id-file", "/data/myid", "--dynamic-file", "/conf/zoo.cfg.dynamic"]
    assert compat.zk_bootstrap([*flags, *files, "--json"]) == 0
    (options,) = called
    assert (options.command, options.json) == ("bootstrap", True)
    assert options.set == {"aws.region": "eu-west-1", "aws.log_group": "logs", "node.conf_dir": "/conf", "node.data_dir": "/data"}


@pytest.mark.parametrize(
    ("flag", "value", "expected", "setting"),
    [
        ("--id-file", "/etc/zookeeper/myid", "/var/lib/zookeeper/data/myid", "--data-dir"),
        ("--dynamic-file", "/tmp/dynamic", "/etc/zookeeper/zoo.cfg.dynamic", "--conf-dir"),
    ],
)
def test_zk_bootstrap_refuses_files_elsewhere(
    flag: str, value: str, expected: str, setting: str, called: list[argparse.Namespace], capsys: pytest.CaptureFixture[str]
) -> None:
    assert compat.zk_bootstrap([flag, value]) == 2
    says = f"zkboot: {flag} {value}: only {expected} is supported; give the folder with {setting}, or leave {flag} out\n"
    assert capsys.readouterr().err == says and called == []


def test_zk_recovery_takes_the_region_from_the_environment(
    called: list[argparse.Namespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compat.zk_recovery([]) == 0
    monkeypatch.setenv("REGION", "eu-west-1")
    assert compat.zk_recovery([]) == 0
    assert [(options.command, options.set) for options in called] == [("recover", {}), ("recover", {"aws.region": "eu-west-1"})]
