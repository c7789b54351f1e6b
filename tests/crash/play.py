"""One case played: three serve, the story is told, its orders are met, three serve again, every acknowledged write is there."""

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.crash.scene import Order, Scene, Together
from tests.crash.stories import STORIES
from tests.lab.errors import LabError
from tests.lab.group import Group
from tests.lab.ledger import Ledger
from tests.scenarios.stage import Stage
from tests.scenarios.story import created_once, record


class Case(NamedTuple):
    story: str
    orders: tuple[Order, ...]  # usually one

    @property
    def name(self) -> str:
        return f"{self.story}/{','.join(map(str, self.orders))}"


class Outcome(NamedTuple):
    """`problem` is "" when all went well."""

    case: str
    healed: float  # seconds from the last order to an ensemble that serves, with all let in
    acknowledged: int
    lost: int
    longest_gap: float  # seconds
    problem: str = ""


def every_case() -> list[Case]:
    """Each story, stopped right before and right after each of its steps, by a kill and by a power cut."""
    return [
        Case(name, (Order(when, step, how),))
        for name, story in STORIES.items()
        for step in story.steps
        for when in ("before", "after")
        for how in ("kill", "power")
    ]


def play(stage: Stage, case: Case) -> Outcome:
    """Problems are told, and the region is closed after one; its machines' folders are kept."""
    try:
        return played(stage, case)
    except (LabError, AssertionError) as error:
        kept = stage.close(keep_as="".join(c if c.isalnum() else "-" for c in case.name))
        where = traceback.extract_tb(error.__traceback__)[-1]
        what = str(error) or f"{type(error).__name__} at {where.name}: {where.line}"
        return Outcome(case.name, 0.0, 0, 0, 0.0, f"{what}\nthe machines' folders: {kept}")


def played(stage: Stage, case: Case) -> Outcome:
    story = STORIES[case.story]
    zk = of_its_own(stage, case) if story.fresh else stage.three()
    with Ledger(zk) as ledger:
        scene = Scene(zk, ledger, case.orders)
        if not story.fresh:
            ledger.wait_writing()
        with armed(scene):
            story.tell(scene)
            scene.until_met()
            scene.until_serving(3)
            healed = time.time() - scene.met_at
            scene.until_writing()
    created_once(scene.zk, record(zk)["generation"])
    if scene.zk is not zk:
        stage.close()
    report = ledger.report
    assert report is not None
    assert not report.lost, f"{len(report.lost)} of {report.acknowledged} acknowledged writes are lost: {report.lost[:20]}"
    return Outcome(case.name, round(healed, 2), report.acknowledged, len(report.lost), round(report.longest_gap, 2))


def of_its_own(stage: Stage, case: Case) -> Group:
    """A group whose machines are armed from their launch on."""
    orders = Together(dict.fromkeys(range(9), ",".join(map(str, case.orders))))
    region = stage.region()
    orders.shared = str(region.path / "steps")
    return region.group(3, environment=orders)


@contextmanager
def armed(scene: Scene) -> Iterator[None]:
    """What is left of orders, and of a story's own faults, ends with the story."""
    yield
    scene.disarm()
    scene.region.no_capacity()
