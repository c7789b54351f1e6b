"""`zkboot timers`: what it switches on, and the last line of a boot."""

import json
from pathlib import Path

import pytest

from zkboot import ending, timers
from zkboot.__main__ import main
from zkboot.settings import load

SYSTEMCTL = """#!/bin/sh
echo "$@" >>{calls}
case "$*" in
"cat zkboot-backup.timer"|"cat zkboot-drill.timer") exit 1 ;;
show*) printf "LoadState=loaded\\nActiveState=inactive\\n" ;;
esac
"""
WAITS = "goes on from here: see"


@pytest.fixture(autouse=True)
def settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a machine without a server."""
    path = tmp_path / "zkboot.toml"
    folders = "".join(f'{name} = "{tmp_path}/{name}"\n' for name in ("state_dir", "conf_dir", "data_dir", "run_dir"))
    path.write_text(f'cluster = "demo"\naws.bucket = "demo-bucket"\n[node]\nservice = "process"\n{folders}')
    monkeypatch.setenv("ZKBOOT_CONFIG", str(path))
    return path


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in that knows the recovery's timer alone, and writes down what it is asked."""
    calls = tmp_path / "calls"
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "systemctl"
    program.write_text(SYSTEMCTL.format(calls=calls))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(timers, "DROP_IN", f"{tmp_path}/units/zkboot-recover.timer.d/interval.conf")
    return calls


def asked(calls: Path) -> list[str]:
    """But for the shipping of the journal, which is asked for each time."""
    lines = [line for line in calls.read_text().splitlines() if not line.startswith(("cat", "show"))]
    shipping = "enable --now --no-block zkboot-logs.service"
    assert lines.count(shipping) == lines.count("enable zkboot-recover.timer")
    return [line for line in lines if line != shipping]


def test_of_a_process_machine_they_are_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["timers"]) == 0
    last = f" not serving; recovery every minute {WAITS} {tmp_path}/state_dir/zookeeper.log, and ask zkboot plan --why\n"
    assert capsys.readouterr().out.endswith(last)
    assert main(["timers", "--set", "timing.recover_interval=4"]) == 0
    assert f" not serving; recovery every 4 s {WAITS} " in capsys.readouterr().out
    assert json.loads((tmp_path / "state_dir/timers").read_text()) == {"schema": 1, "recover_interval": 4}


def test_without_systemd_its_timers_cannot_be_switched_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["timers", "--set", "node.service=systemd"]) == 1
    assert 'systemctl is not on this machine, and node.service is "systemd"' in capsys.readouterr().err


def test_on_systemd_they_are_units(systemctl: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["timers", "--set", "node.service=systemd"]) == 0
    assert asked(systemctl) == ["enable zkboot-recover.timer", "start zkboot-recover.timer"]
    told = capsys.readouterr().out
    assert "; recovery every minute" in told and "see journalctl -u zkboot-recover and journalctl -u zookeeper" in told


def test_a_serving_node_tells_of_the_next_backup(monkeypatch: pytest.MonkeyPatch, settings_file: Path) -> None:
    settings = load(str(settings_file), {})
    monkeypatch.setattr(ending, "serving", lambda settings: "serving as leader, server 1 of 1 (1)")
    serves = "serving as leader, server 1 of 1 (1); recovery every minute"
    assert ending.ending(settings, backups=False) == serves
    assert ending.ending(settings, backups=True) == f"{serves}; next backup within 24 h"
    assert ending.ending(load(None, {"backup.interval": "5400"}), backups=True) == f"{serves}; next backup within 90 min"
    assert ending.ending(load(None, {"backup.interval": "0"}), backups=True) == f"{serves}; no backups, as backup.interval is 0"


def test_an_interval_of_ones_own_is_a_drop_in(systemctl: Path) -> None:
    drop_in = Path(timers.DROP_IN)
    flags = ["timers", "--set", "node.service=systemd"]
    every_three = ["daemon-reload", "enable zkboot-recover.timer", "restart zkboot-recover.timer"]
    again = ["enable zkboot-recover.timer", "start zkboot-recover.timer"]
    assert main([*flags, "--set", "timing.recover_interval=3"]) == 0
    assert asked(systemctl) == every_three
    assert drop_in.read_text().splitlines()[1:] == ["[Timer]", "OnUnitActiveSec=", "OnActiveSec=0", "OnUnitActiveSec=3"]
    assert main([*flags, "--set", "timing.recover_interval=3"]) == 0
    assert asked(systemctl) == every_three + again
    assert main(flags) == 0
    assert asked(systemctl) == every_three + again + every_three
    assert not drop_in.exists()


def test_recovery_finds_out_when_wrong_settings_are_mended(
    systemctl: Path, settings_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings_file.write_text("cluster = 7\n")
    assert main(["timers"]) == 2
    assert asked(systemctl) == ["enable zkboot-recover.timer", "start zkboot-recover.timer"]
    err = capsys.readouterr().err
    assert err == (
        "zkboot: nothing is started: the settings cannot be used; zkboot config names what is wrong. "
        "Recovery looks every minute whether it is mended\n"
    )


def test_wrong_settings_where_there_are_no_units(
    settings_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    settings_file.write_text("cluster = 7\n")
    assert main(["timers"]) == 2
    assert capsys.readouterr().err.startswith("zkboot: nothing is started and no timer is switched on: the settings")
