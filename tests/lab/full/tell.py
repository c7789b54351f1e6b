"""The stories of the full lab, told as they happen."""

import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from tests.demo import interrupts
from tests.demo.narrator import Narrator
from tests.demo.witness import SHORT, Witness
from tests.lab.errors import LabError, NotPossibleHere
from tests.lab.full import image
from tests.lab.full.apply import SCALE, STACK, Applied
from tests.lab.full.region import FullRegion
from tests.lab.full.stories import STORIES, Story
from tests.lab.group import Group
from tests.lab.machines import CHECKOUT
from tests.lab.settings import FASTER
from tests.scenarios.story import created_once, every_write_kept

PYTHON = sys.executable.removeprefix(f"{CHECKOUT}/")
LOOK_EVERY = 0.3  # seconds
FRESH = 240.0  # seconds in which three instances must serve
# What cloud-init prints on every machine: addresses, host keys.
CHATTER = re.compile(
    r"ci-info: |Cloud-init v\. |Generating public/private |Your (identification|public key) |The key|SHA256:|[+|].*[+|]$"
)
INSTEAD = "the logs of its instances are kept: {}"


class Told(NamedTuple):
    """One row of the table."""

    title: str
    seconds: float
    well: bool


def tell(only: str, keep: bool) -> bool:
    """Build, launch, tell. Whether every story went well."""
    # kazoo warns of every lost connection, which is what these stories are made of.
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)
    chosen = choose(only)
    ends = not keep and (not only or STACK in only.split(","))
    with Narrator(len(chosen) + 2 + ends) as narrator:
        narrator.chapter(1, "The image")
        golden = image.ensure(narrator.moves if narrator.console.is_terminal else lambda line: narrator.plain(f"  {line}", "dim"))
        narrator.reached(f"{golden.name}")
        with FullRegion(golden) as region:
            try:
                return Telling(narrator, region).run(chosen, ends, keep)
            finally:
                # What began must be put away whole, whoever loses patience.
                interrupts.ignore()


def choose(only: str) -> list[Story]:
    names = [name for name in only.split(",") if name] if only != "none" else []
    known = {story.name: story for story in STORIES}
    if unknown := [name for name in names if name not in (*known, STACK)]:
        raise LabError(f"no story {unknown[0]!r}: there is {', '.join(known)}, {STACK} (and none)")
    return [known[name] for name in names if name != STACK] if only else list(STORIES)


class Telling:
    def __init__(self, narrator: Narrator, region: FullRegion) -> None:
        self.narrator = narrator
        self.region = region
        self.witness = Witness(region)
        self.told: list[Told] = []
        self.watched = threading.Event()
        self.stack = self.copied()

    def copied(self) -> Applied | None:
        try:
            return Applied(self.region, self.region.path / STACK, "zk")
        except NotPossibleHere as error:
            self.narrator.failed(f"NOT PROVED: what Terraform makes; the group is the lab's own: {error}")
            return None

    def run(self, stories: list[Story], ends: bool, keep: bool) -> bool:
        """`ends`: whether the stack's own end is told too."""
        faster = ", ".join(f"{key} {value:g}" for table in FASTER.values() for key, value in table.items())
        self.narrator.plain(f"Faster here than in production: {faster} (ms and s).", "dim")
        if self.region.no_volumes:
            self.narrator.failed(
                f"NOT PROVED: data on a volume of their own; here they lie on the root disk: {self.region.no_volumes}"
            )
        watching = threading.Thread(target=self.watch, daemon=True)
        watching.start()
        try:
            by = "Terraform applies the stack" if self.stack else "A group is made"
            self.narrator.chapter(2, f"{by}: three instances are launched from the image, and become an ensemble")
            well = self.one("three empty instances become an ensemble", self.fresh)
            for number, story in enumerate(stories, 3):
                if well:
                    self.narrator.chapter(number, story.title)
                    self.witness.forget()
                    well = self.one(story.title, lambda story=story: self.story(story))
            if well and ends and self.stack:
                self.narrator.chapter(len(stories) + 3, "Terraform scales it, has nothing more to plan, and destroys it")
                well = self.one("terraform apply, plan and destroy", lambda: self.end(self.stack))
            self.account(len(stories) + 1 + bool(ends and self.stack))
            if keep and self.told[0].well:
                self.stay(self.zk)
            return well
        finally:
            self.watched.set()
            watching.join()

    def fresh(self) -> None:
        if self.stack:
            self.stack.apply()
        self.zk = zk = self.stack.group if self.stack else self.region.group(3)
        with every_write_kept(zk):
            zk.wait_serving(3, FRESH)
        zk.wait_until(lambda: all(machine.said("finished at") for machine in zk.living), "cloud-init has ended", FRESH)
        created_once(zk)

    def story(self, story: Story) -> None:
        story.tell(self.zk)
        self.zk.wait_serving(3, FRESH)

    def end(self, stack: Applied) -> None:
        with every_write_kept(self.zk):
            stack.apply("-var=desired_capacity=5")
            self.zk.wait_serving(5, FRESH)
            stack.scale_by_hand(3)
            self.zk.wait_serving(3, FRESH)
        assert (changes := stack.plan()) == {}, changes
        assert stack.destroyed() == [stack.BUCKET], "destroy leaves what it must not, or takes what it must keep"

    def one(self, title: str, tell: Callable[[], None]) -> bool:
        """Whether it went well; what went wrong is printed."""
        began = self.narrator.seconds
        well = False
        try:
            tell()
            well = True
        except (LabError, AssertionError) as error:
            self.narrator.failed(f"{error}\n{self.region.last_words()}")
            self.narrator.plain(INSTEAD.format(self.region.path))
        self.told.append(Told(title, self.narrator.seconds - began, well))
        if well:
            self.narrator.reached(f"after {self.told[-1].seconds:.1f} s: every acknowledged write was read back")
        return well

    def account(self, expected: int) -> None:
        rows = [(told.title, f"{told.seconds:.1f} s", "yes" if told.well else "NO") for told in self.told]
        total = (f"{sum(told.well for told in self.told)} of {expected} went well", f"{self.narrator.seconds:.0f} s", "")
        self.narrator.table("What was told", ("story", "time", "every write kept"), rows, total)

    def watch(self) -> None:
        """What the region and its instances say, as they say it, until the end."""
        while not self.watched.wait(LOOK_EVERY):
            with suppress(OSError):
                for who, text, quoted in self.witness.news():
                    if not CHATTER.match(text):
                        self.narrator.happens(who, text, quoted)

    def stay(self, zk: Group) -> None:
        self.narrator.plain("\nThe region runs on. In another terminal:", "bold")
        name = zk.living[0].instance_id[:SHORT]
        for command, what in (
            ("make lab-shell", "the instances"),
            (f"make lab-shell I={name}", "a shell in one; then, in it:"),
            ("  zkboot status", ""),
            ("  less /var/log/cloud-init-output.log", "how it came up"),
            ("  journalctl -u zkboot-recover -p info", "how it is kept"),
            (f"{PYTHON} -m tests.lab.full region scale 5", "see the ensemble grow, here; region --help lists what else there is"),
            *(self.typed() if self.stack else ()),
            ("make lab-down", "the end of it all, as Ctrl-C here"),
        ):
            self.narrator.command(command, what)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()

    def typed(self) -> Iterator[tuple[str, str]]:
        """What an operator types, who has no way into an instance."""
        at, cluster = f"{PYTHON} -m tests.lab.full typed", self.zk.plan.cluster
        yield f"{at} terraform apply -var desired_capacity=5", "the same by Terraform"
        yield f"{at} aws {SCALE} zkboot-{cluster} --desired-capacity 3", "and by the AWS CLI"
        yield f"{at} zkboot logs --cluster {cluster} --since 1h", "the ensemble's story, out of the log group"
