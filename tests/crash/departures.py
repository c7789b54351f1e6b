"""Machines come, are replaced, promoted, and go."""

from tests.crash.scene import Scene
from tests.scenarios.story import record


def three_machines_are_launched(scene: Scene) -> None:
    """Each is armed from its launch: one becomes the seed, the others join it."""


def the_seed_is_lost_when_it_is_named(scene: Scene) -> None:
    """Another takes its place. All are held where one has been named, so that it is known who is lost."""
    zk = scene.zk
    for machine in scene.until(lambda: len(zk.living) == 3 and zk.living, "three machines are launched"):
        machine.stop_at_step("after:create:pause")
        machine.kill_zkboot()  # one that runs has its orders since its start
    scene.until(lambda: any(machine.stopped_at_step for machine in zk.living), "one is named the seed")
    seed = next(machine for machine in zk.living if machine.instance_id == record(zk)["seed"])
    scene.region.lose(seed)
    scene.arm(*zk.living)
    for machine in zk.living:
        machine.kill_zkboot()


def one_more_is_wanted(scene: Scene) -> None:
    """The fourth is a spare, an observer."""
    scene.arm_next()
    scene.zk.scale(4)
    scene.until_met()
    scene.until_serving(4)
    back_to_three(scene)


def one_is_replaced(scene: Scene) -> None:
    scene.arm_next()
    scene.region.lose(scene.zk.followers()[0])


def a_spare_is_promoted(scene: Scene) -> None:
    scene.zk.scale(4)
    scene.until_serving(4)
    (spare,) = scene.zk.observers()
    scene.region.no_capacity("a", "b", "c")
    scene.arm(*scene.zk.living)
    scene.region.lose(scene.zk.followers()[0])
    scene.until(lambda: spare.address in {voter.address for voter in scene.zk.voters()}, "the spare is a voter")
    scene.until_met()
    scene.region.no_capacity()
    scene.zk.scale(3)


def a_spare_dies_and_is_not_replaced(scene: Scene) -> None:
    scene.zk.scale(4)
    scene.until_serving(4)
    (spare,) = scene.zk.observers()
    scene.region.no_capacity("a", "b", "c")
    scene.arm(*scene.zk.living)
    scene.region.lose(spare)
    scene.until(lambda: len(scene.zk.members()) == 3, "it is out of the configuration")
    scene.until_met()
    scene.zk.scale(3)
    scene.region.no_capacity()


def the_group_takes_one(scene: Scene) -> None:
    taken = scene.zk.followers()[0]
    scene.arm(taken)
    scene.region.take(taken)
    scene.until(lambda: scene.region.ec2_state(taken) == "terminated", "it has gone")


def the_group_takes_one_that_cannot_go_yet(scene: Scene) -> None:
    """Another is off, and none is launched in this one's place: without it there would be no quorum."""
    taken, silent = scene.zk.followers()
    scene.region.no_capacity("a", "b", "c")
    silent.power_cut()
    scene.arm(taken)
    scene.region.take(taken)
    scene.until_met()
    scene.region.no_capacity()
    silent.power_on()
    scene.until(lambda: scene.region.ec2_state(taken) == "terminated", "it has gone")


def back_to_three(scene: Scene) -> None:
    scene.disarm()
    scene.zk.scale(3)
