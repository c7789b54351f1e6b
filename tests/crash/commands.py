"""What a person types of the ensemble, and types again when it was killed."""

from tests.backup.bucket import newest
from tests.crash.backups import copy_of_all
from tests.crash.scene import AGAIN, Scene
from tests.lab.group import Group
from tests.lab.machines import Machine
from tests.scenarios.story import LONG, forget_zkboot, nobody_serves, record
from zkboot.errors import HALTED


def confirm(zk: Group) -> tuple[str, str]:
    return "--confirm", zk.plan.cluster


def reseed_over_a_live_ensemble(scene: Scene) -> None:
    """Nothing is written meanwhile: what the others acknowledge while the chosen one is off is what a person gives up."""
    zk, before = scene.zk, record(scene.zk)["generation"]
    chosen = zk.followers()[0]
    with scene.ledger.rest():
        scene.until(lambda: holds_all(zk, chosen), f"{chosen} holds every write")
        scene.arm(*zk.living)
        command = ("reseed", "--replace-live", *confirm(zk))
        scene.typed(chosen, *command, done=lambda: record(zk)["generation"] > before)
        scene.until_met()
        scene.until_serving(3)


def holds_all(zk: Group, machine: Machine) -> bool:
    """Its last transaction is nobody's last but one."""
    answers = [one.answer() for one in zk.living]
    own = machine.answer()
    return own is not None and all(answer is not None and answer.zxid <= own.zxid for answer in answers)


def reseed_is_withdrawn(scene: Scene) -> None:
    zk = scene.zk
    silent, typing, other = zk.living
    silent.power_cut()
    command = typing.start_zkboot("reseed", "--replace-live", *confirm(zk))
    scene.until(lambda: record(zk)["intent"] and nobody_serves(zk), "the intent stands, and every living member stops")
    scene.arm(other)
    scene.typed(other, "reseed", "--abort", done=lambda: record(zk)["intent"] is None)
    assert command.wait(LONG) != 0
    silent.power_on()


# --- adoption


def an_ensemble_of_others_is_adopted(scene: Scene) -> None:
    """One member after the other, all armed: the first writes the record, the others find it."""
    scene.arm(*scene.zk.living)
    forget_zkboot(scene.zk)
    for machine in scene.zk.living:
        adopt(scene, machine)


def a_member_that_was_not_listed_is_adopted(scene: Scene) -> None:
    """EC2 did not list its instance when the first one wrote the record. Its own recovery keeps what it holds until then."""
    first, second, last = scene.zk.living
    scene.arm(last)
    forget_zkboot(scene.zk)
    with scene.region.unlisted(last, first):
        adopt(scene, first)
    adopt(scene, second)
    assert last.instance_id not in [claim["instance_id"] for claim in record(scene.zk)["members"].values()]
    adopt(scene, last)


def adopt(scene: Scene, machine: Machine) -> None:
    zk = scene.zk
    other = next(one for one in zk.living if one is not machine)
    machine.kill_server()
    scene.until(lambda: not machine.server_pid, "its server is stopped")
    # A busy machine's server may take longer to serve than zkboot waits for it: then a person types it again.
    scene.typed(machine, "adopt", "--through", other.address, *confirm(zk), again=(*AGAIN, HALTED))
    scene.until(machine.answer, "it serves")


def the_group_is_another(scene: Scene) -> None:
    """The first group is gone with all its machines. One of the second's makes the record follow, and the backup is restored."""
    zk = scene.zk
    with scene.ledger.rest():
        copy_of_all(scene)
        zk.scale(0)
        for machine in zk.living:
            scene.region.lose(machine)
        new = scene.region.group(
            0, name="zk-again", cluster=zk.plan.cluster, environment=zk.plan.environment, settings=zk.plan.settings
        )
        new.machines = zk.machines  # the cluster's, whoever launched them
        new.scale(3)
        scene.until(lambda: len(new.living) == 3, "the second group launches its own")
        first = new.living[0]
        scene.until(lambda: first.said("halted: "), "it finds that the record is of another group")
        scene.arm(first)
        follows = lambda: record(new)["scope"]["group"] == "zk-again"  # noqa: E731
        scene.typed(first, "adopt", *confirm(new), done=follows)
        scene.zk = new
        scene.until_serving(3)
        assert record(new)["source"].endswith(newest(new))
