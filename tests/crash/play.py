"""One case played: three serve, the story is told, its orders are met, three serve again, every acknowledged write is there."""

import time
import traceback
from pathlib import Path
from typing import NamedTuple

from tests.crash.scene import Order, Scene, arm_launches, shared_file
from tests.crash.stories import STORIES
from tests.lab.errors import LabError
from tests.lab.group import Group
from tests.lab.ledger import Ledger
from tests.scenarios.stage import Stage
from tests.scenarios.story import Orders, created_once, record


class Case(NamedTuple):
    story: str
    orders: tuple[Order, ...]  # usually one

    @property
    def name(self) -> str:
        return f"{self.story}/{'+'.join(map(str, self.orders))}"

    @property
    def command(self) -> str:
        """That plays it again, alone."""
        return f"make crash {'ONCE=1 ' if len(self.orders) > 1 else ''}ONLY='{self.name}'"


class Outcome(NamedTuple):
    """`problem` is "" when all went well."""

    name: str  # of its case
    healed: float = 0.0  # seconds from the last order to an ensemble that serves, with all let in
    acknowledged: int = 0
    lost: int = 0
    longest_gap: float = 0.0  # seconds
    took: float = 0.0  # seconds, the whole case
    problem: str = ""

    @property
    def bad(self) -> bool:
        return bool(self.problem)

    @property
    def line(self) -> str:
        if self.problem:
            return f"{self.name}: PROBLEM: {self.problem}"
        return f"{self.name}: healed after {self.healed:.1f} s, {self.acknowledged} writes, {self.lost} lost ({self.took:.0f} s)"


def every_case() -> list[Case]:
    """Each story, stopped right before and right after each of its steps, by a kill and by a power cut."""
    return [
        Case(name, (Order(when, step, how),))
        for name, story in STORIES.items()
        for step in story.steps
        for when in ("before", "after")
        for how in ("kill", "power")
    ]


def new_stage() -> Stage:
    """With backups that are restored unasked."""
    return Stage({"ensemble": {"auto_restore": 86_400}})


def play(stage: Stage, case: Case) -> Outcome:
    """Problems are told, and the region is closed after one; its machines' folders are kept."""
    began = time.time()
    try:
        return played(stage, case)._replace(took=round(time.time() - began, 1))
    except Exception as error:  # the loop's edge: the next case begins with a new region
        what = str(error) if isinstance(error, LabError) else "".join(traceback.format_exception(error)[-2:])
        told = stage.told(began)
        kept = stage.close(keep_as="".join(c if c.isalnum() else "-" for c in case.name))
        problem = f"{what}\nwhat each node said:\n{told}\nthe machines' folders: {kept}\nagain: {case.command}"
        return Outcome(case.name, problem=problem)


def played(stage: Stage, case: Case) -> Outcome:
    story = STORIES[case.story]
    zk, done = of_its_own(stage, case) if story.fresh else shared(stage)
    with Ledger(zk) as ledger:
        scene = Scene(zk, ledger, case.orders, done)
        if not story.fresh:
            ledger.wait_writing()
        story.tell(scene)
        scene.until_met()
        scene.until_serving(3)
        healed = time.time() - scene.met_at
        scene.until_writing()
        scene.disarm()
    created_once(scene.zk, record(scene.zk)["generation"])
    if scene.zk is not zk:
        stage.close()
    report = ledger.report
    assert report is not None
    assert not report.lost, f"{len(report.lost)} of {report.acknowledged} acknowledged writes are lost: {report.lost[:20]}"
    return Outcome(case.name, round(healed, 2), report.acknowledged, len(report.lost), round(report.longest_gap, 2))


def of_its_own(stage: Stage, case: Case) -> tuple[Group, Path]:
    """A group whose machines are armed from their launch on."""
    region, environment = stage.region(), Orders()
    done = shared_file(region)
    arm_launches(environment, 0, 9, case.orders, done)
    return region.group(3, environment=environment, settings=stage.settings), done


def shared(stage: Stage) -> tuple[Group, Path]:
    """The ensemble of the case before, where it is whole."""
    zk = stage.three()
    return zk, shared_file(zk.region)
