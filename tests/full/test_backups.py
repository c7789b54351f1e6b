"""The timers of booted instances make a backup, read it back and drill it, within what their units allow them."""

import json
from collections.abc import Iterator

import pytest

from tests.backup.bucket import MANIFEST, names, prefix
from tests.full.test_server_ends import shown
from tests.lab.full.machine import FullMachine
from tests.lab.group import Group
from tests.lab.region import BUCKET
from tests.scenarios.story import every_write_kept

LONG = 300.0  # seconds
BACKUP, DRILL = "zkboot-backup", "zkboot-drill"
SOON = "[Timer]\nOnBootSec=\nOnUnitActiveSec=\nOnActiveSec=1\nOnUnitActiveSec=5\nRandomizedDelaySec=0\nAccuracySec=1s\n"
SETTINGS = "/etc/zkboot/zkboot.toml"


def machines(zk: Group) -> list[FullMachine]:
    return [machine for machine in zk.living if isinstance(machine, FullMachine)]


@pytest.fixture
def soon(zk: Group) -> Iterator[None]:
    """The timers look in a second and every few from then on, not every quarter of an hour; in the end as always."""
    folders = [f"/run/systemd/system/{unit}.timer.d" for unit in (BACKUP, DRILL)]
    for machine in machines(zk):
        for folder in folders:
            machine.run("sh", "-c", f"mkdir -p {folder} && printf '%s' '{SOON}' >{folder}/soon.conf")
        machine.run("systemctl", "daemon-reload")
    yield
    for machine in machines(zk):
        machine.run("rm", "-r", *folders)
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", f"{BACKUP}.timer", f"{DRILL}.timer")


def look(zk: Group, unit: str) -> None:
    for machine in machines(zk):
        machine.run("systemctl", "restart", f"{unit}.timer")


def told(zk: Group, unit: str) -> str:
    for machine in machines(zk):
        machine.run("journalctl", "--sync")
    return "".join(
        machine.run("journalctl", "--boot", "--output=cat", f"--unit={unit}.service").stdout for machine in machines(zk)
    )


def forget(zk: Group) -> None:
    for key in zk.region.objects(prefix(zk)):
        zk.region.client("s3").delete_object(Bucket=BUCKET, Key=key)


def expect_well(zk: Group) -> None:
    """Each look has ended, and what is "not my turn" is no failure to systemd."""
    for machine in machines(zk):
        for unit in (BACKUP, DRILL):
            zk.wait_until(
                lambda unit=unit, machine=machine: shown(machine, f"{unit}.service", "ActiveState") == "ActiveState=inactive",
                "the look ends",
                LONG,
            )
            assert shown(machine, f"{unit}.service", "Result") == "Result=success"
            assert shown(machine, f"{unit}.timer", "ActiveState") == "ActiveState=active"
    assert not zk.region.gateway.refused


def test_a_backup_is_made_read_back_and_drilled(zk: Group, soon: None) -> None:
    forget(zk)
    with every_write_kept(zk):
        look(zk, BACKUP)
        zk.wait_until(lambda: names(zk, ".verified.json"), "a backup is made, and read back", LONG)
        look(zk, DRILL)
        zk.wait_until(lambda: names(zk, ".drilled.json"), "a server is started from it", LONG)
    expect_well(zk)
    (name,) = names(zk)
    assert names(zk, ".verified.json") == names(zk, ".drilled.json") == {name}
    assert f"verified {name} to its last record" in told(zk, BACKUP)
    assert f"drilled {name}: a server started from it holds" in told(zk, DRILL)
    assert not [m for m in machines(zk) if m.run("ls", "/var/lib/zkboot/drill").returncode == 0], "nothing of the drill is left"
    listed = machines(zk)[0].run("zkboot", "backups", "--json").stdout
    (entry,) = [json.loads(line) for line in listed.splitlines()]
    assert entry["verified"] and entry["drilled"] and entry["mode"] == "hot" and entry["had_quorum"]


@pytest.mark.long
def test_a_cold_one_stops_and_starts_one_server(zk: Group, soon: None) -> None:
    forget(zk)
    before = {machine: machine.server_pid for machine in machines(zk)}
    for machine in machines(zk):
        machine.run("sh", "-c", f"cp --preserve {SETTINGS} /run/settings && printf '\n[backup]\nmode = \"cold\"\n' >>{SETTINGS}")
    with every_write_kept(zk):
        look(zk, BACKUP)
        zk.wait_until(lambda: names(zk, ".verified.json"), "a backup is made, and read back", LONG)
        zk.wait_serving(3, LONG)
    for machine in machines(zk):
        machine.run("mv", "/run/settings", SETTINGS)
    expect_well(zk)
    (name,) = names(zk)
    manifest = json.loads(zk.region.client("s3").get_object(Bucket=BUCKET, Key=f"{prefix(zk)}{name}{MANIFEST}")["Body"].read())
    assert manifest["mode"] == "cold" and "the server is started again" in told(zk, BACKUP)
    assert len([machine for machine, pid in before.items() if machine.server_pid != pid]) == 1
