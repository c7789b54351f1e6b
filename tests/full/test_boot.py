"""What cloud-init's log tells of booted instances, and what systemd and cloud-init make of a boot in vain."""

import json

from tests.cloudinit.members import end_of, three_from_nothing
from tests.cloudinit.story import hold_to, log_of, says
from tests.full.test_server_ends import RECOVER, TIMER, shown
from tests.lab.full.machine import FullMachine
from tests.lab.full.region import FullRegion
from tests.lab.group import Group

BOOT = 120.0  # seconds


def test_three_from_nothing(ensemble: Group) -> None:
    first = list(ensemble.machines.values())[:3]
    for machine in first:
        end_of(machine, ensemble)
    if set(first) <= set(ensemble.living):
        three_from_nothing(ensemble)


def test_recovery_has_the_interval_of_the_settings(zk: Group) -> None:
    for machine in zk.living:
        assert isinstance(machine, FullMachine)
        shown = machine.run("systemctl", "show", "--property=TimersMonotonic,UnitFileState", "zkboot-recover.timer").stdout
        assert "OnUnitActiveUSec=3s" in shown and "UnitFileState=enabled" in shown, shown


def test_the_commands_run_again_change_nothing(zk: Group) -> None:
    machine = zk.followers()[0]
    assert isinstance(machine, FullMachine)
    pid, members = machine.server_pid, zk.members()
    # A turn that the timer began would be waited for, and that told.
    machine.run("systemctl", "stop", TIMER)
    zk.wait_until(lambda: "inactive" in shown(machine, RECOVER, "ActiveState"), "no turn is under way")
    done = machine.run("sh", "/var/lib/cloud/instance/scripts/runcmd", timeout=300)
    assert done.returncode == 0, done.stdout
    assert [line.split(" ", 1)[1].split(":")[0].split(",")[0] for line in done.stdout.splitlines()] == [
        "healthy",
        "serving as follower",
    ]
    assert (machine.server_pid, zk.members()) == (pid, members)


def test_a_boot_with_a_wrong_setting_and_what_happens_once_it_is_mended(full_region: FullRegion) -> None:
    # The timer has the image's interval, for nobody could read another one.
    settings = {"zookeeper": {"tick_time": "300"}, "timing": {"recover_interval": 60}}
    group = full_region.group(1, name="wrong", settings=settings)
    full_region.wait_until(lambda: group.living, "an instance is launched", BOOT)
    (machine,) = group.living
    assert isinstance(machine, FullMachine)
    full_region.wait_until(lambda: "names what is wrong" in "".join(log_of(machine)[-1:]), "its boot has ended", BOOT)
    hold_to(
        machine,
        says(r'/etc/zkboot/zkboot\.toml:\d+: zookeeper\.tick_time: must be a whole number, not "300"'),
        says(
            r"nothing is started: the settings cannot be used; zkboot config names what is wrong\. "
            r"Recovery looks every minute whether it is mended"
        ),
    )
    full_region.wait_until(lambda: "status: error" in machine.run("cloud-init", "status").stdout, "cloud-init says so", BOOT)
    assert not machine.server_pid and not full_region.objects("control/wrong/")
    assert machine.run("stat", "--format=%a %U", "/etc/zkboot/zkboot.toml").stdout == "600 root\n"
    full_region.wait_until(lambda: comes_within(machine, 60), "the timer looks again within the minute", BOOT)
    machine.run("sed", "--in-place", 's/"300"/300/', "/etc/zkboot/zkboot.toml")
    machine.run("systemctl", "start", "--no-block", RECOVER)  # as the timer would, within the minute
    group.wait_serving(1, BOOT)
    group.scale(0)


def comes_within(machine: FullMachine, seconds: float) -> bool:
    """Whether the timer is to call recovery, at most so long after it last did. While a turn goes on it does not know yet."""
    (timer,) = json.loads(machine.run("systemctl", "list-timers", "--output=json", TIMER).stdout)
    accuracy = 1
    return timer["activates"] == RECOVER and 0 < (timer["next"] or 0) - timer["last"] <= (seconds + accuracy) * 1e6
