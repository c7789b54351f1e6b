"""What a person types, and types again when it was killed."""

from collections.abc import Callable

from tests.crash.scene import KILLED, Scene
from tests.lab.group import Group
from tests.lab.machines import Machine
from tests.lab.region import BUCKET
from tests.scenarios.story import LONG, forget_zkboot, nobody_serves, record

MANIFEST = ".manifest.json"


def confirm(zk: Group) -> tuple[str, str]:
    return "--confirm", zk.plan.cluster


def typed(scene: Scene, machine: Machine, *arguments: str, done: Callable[[], object] = lambda: False) -> str:
    """Typed on that machine, and as often again as an order has killed it, until its part is `done`; its last words."""
    while (ended := machine.zkboot(*arguments, timeout=LONG)).returncode == KILLED:
        scene.until(lambda: machine.on, f"{machine} is on")
        if done():
            return ""
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def backup(scene: Scene, machine: Machine) -> str:
    """As `typed`; a machine that was off serves again before it is typed again."""
    while (ended := machine.zkboot("backup", timeout=LONG)).returncode == KILLED:
        scene.until(machine.answer, f"{machine} serves")
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


# --- the ensemble


def reseed_over_a_live_ensemble(scene: Scene) -> None:
    """Nothing is written meanwhile: what the others acknowledge while the chosen one is off is what a person gives up."""
    zk, before = scene.zk, record(scene.zk)["generation"]
    chosen = zk.followers()[0]
    scene.arm(*zk.living)
    with scene.ledger.rest():
        command = ("reseed", "--replace-live", *confirm(zk))
        typed(scene, chosen, *command, done=lambda: record(zk)["generation"] > before)
        scene.until_serving(3)
    scene.until_met()


def reseed_is_withdrawn(scene: Scene) -> None:
    zk = scene.zk
    silent, typing, other = zk.living
    silent.power_cut()
    command = typing.start_zkboot("reseed", "--replace-live", *confirm(zk))
    scene.until(lambda: record(zk)["intent"] and nobody_serves(zk), "the intent stands, and every living member stops")
    scene.arm(other)
    typed(scene, other, "reseed", "--abort", done=lambda: record(zk)["intent"] is None)
    assert command.wait(LONG) != 0
    silent.power_on()


def an_ensemble_of_others_is_adopted(scene: Scene) -> None:
    """One member after the other, all armed: the first writes the record, the others find it."""
    zk = scene.zk
    scene.arm(*zk.living)
    forget_zkboot(zk)
    for machine in zk.living:
        other = next(one for one in zk.living if one is not machine)
        machine.kill_server()
        scene.until(lambda m=machine: not m.server_pid, "its server is stopped")
        typed(scene, machine, "adopt", "--through", other.address, *confirm(zk))
        scene.until(lambda m=machine: m.answer(), "it serves")


def the_group_is_another(scene: Scene) -> None:
    """A second group for the same cluster: one of its instances makes the record follow, and those of the first go one by one."""
    old = list(scene.zk.living)
    new = scene.region.group(3, name="zk-again", cluster=scene.zk.plan.cluster)
    new.machines = scene.zk.machines  # the cluster's, whoever launched them
    scene.until(lambda: len(scene.zk.living) == 6, "the second group launches its own")
    first = scene.zk.living[3]
    scene.until(lambda: first.said("halted: "), "they find that the record is of another group")
    scene.arm(first)
    follows = lambda: record(scene.zk)["scope"]["group"] == "zk-again"  # noqa: E731
    typed(scene, first, "adopt", *confirm(scene.zk), done=follows)
    scene.zk.scale(0)
    for machine in old:
        scene.until_writing()
        end(scene.zk, machine)
        scene.until(lambda m=machine: m.address not in {one.address for one in new.members()}, f"{machine} is out")
    scene.zk = new


def end(zk: Group, machine: Machine) -> None:
    """A person lets one go that the old group takes: its zkboot halts, for the record is another group's."""
    zk.region.client("autoscaling").complete_lifecycle_action(
        AutoScalingGroupName=zk.plan.name,
        LifecycleHookName="zkboot-terminate",
        InstanceId=machine.instance_id,
        LifecycleActionResult="CONTINUE",
    )


# --- backups


def a_backup_is_made(scene: Scene) -> None:
    machine = scene.zk.followers()[0]
    scene.arm(machine)
    backup(scene, machine)
    only_whole_backups(scene)


def an_unfinished_backup_is_aborted(scene: Scene) -> None:
    machine = scene.zk.followers()[0]
    machine.stop_at_step("after:begin upload:kill")
    assert machine.zkboot("backup").returncode == KILLED and unfinished(scene) == 1
    scene.arm(machine)
    backup(scene, machine)
    only_whole_backups(scene)


def a_backup_is_still_current(scene: Scene) -> None:
    machine = scene.zk.followers()[0]
    with scene.ledger.rest():
        backup(scene, machine)
        before = manifests(scene)
        scene.arm(machine)
        said = backup(scene, machine)
        # A member that was off has joined again meanwhile, which is a write.
        assert "nothing was written since backup" in said or ":power" in str(scene.met), said
    assert before <= manifests(scene)
    only_whole_backups(scene)


def a_damaged_backup_is_read_back(scene: Scene) -> None:
    machine = scene.zk.followers()[0]
    backup(scene, machine)
    name = max(manifests(scene))
    prefix, s3 = f"backups/{scene.zk.plan.cluster}/{name}", scene.region.client("s3")
    s3.put_object(Bucket=BUCKET, Key=f"{prefix}.tar.gz", Body=b"gone")
    scene.arm(machine)
    while (done := machine.zkboot("verify", name, timeout=LONG)).returncode == KILLED:
        scene.until(lambda: machine.on, f"{machine} is on")
    assert done.returncode == 1 and "the archive ends" in done.stdout, done.stdout
    assert "DAMAGED" in machine.zkboot("backups").stdout
    for key in scene.region.objects(prefix):
        s3.delete_object(Bucket=BUCKET, Key=key)


def only_whole_backups(scene: Scene) -> None:
    """Nothing is left of what was not finished, and the newest of what was is verified."""
    assert unfinished(scene) == 0 and max(manifests(scene)) in manifests(scene, ".verified.json")


def manifests(scene: Scene, ending: str = MANIFEST) -> set[str]:
    prefix = f"backups/{scene.zk.plan.cluster}/"
    return {key.removeprefix(prefix).removesuffix(ending) for key in scene.region.objects(prefix) if key.endswith(ending)}


def unfinished(scene: Scene) -> int:
    return len(scene.region.client("s3").list_multipart_uploads(Bucket=BUCKET).get("Uploads", ()))
