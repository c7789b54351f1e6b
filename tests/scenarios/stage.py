"""The stage: one region at a time, reused from story to story for as long as its ensemble is healthy."""

import shutil
from collections.abc import Mapping
from typing import Any

from tests.lab.errors import NotReached
from tests.lab.group import Group
from tests.lab.network import Network
from tests.lab.region import LAB, Region
from tests.lab.told import told
from tests.scenarios.story import Orders


class Stage:
    """Opens regions. `region()` is a new one, on loopback where no network is given; `three()` an ensemble of three, that of the
    story before where it is whole. `settings` are those of its machines, over the lab's own."""

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        self.settings = settings or {}
        self._region: Region | None = None
        self._three: Group | None = None

    def region(self, network: Network | None = None) -> Region:
        """Raises NotPossibleHere where the machine or the user cannot make that network."""
        self.close()
        region = Region(network)
        region.__enter__()
        self._region = region
        return region

    def three(self) -> Group:
        if self._three is None or not self._whole(self._three):
            orders = Orders()
            self._three = self.region().group(size=3, environment=orders, settings=self.settings)
            self._three.wait_serving(3)
        return self._three

    def _whole(self, group: Group) -> bool:
        group.scale(3)
        try:
            group.wait_serving(3)
        except NotReached:
            return False
        return True

    def close(self, keep_as: str = "") -> str:
        """Ends the region; with `keep_as` the machines' folders stay, in the folder that is returned."""
        region, self._region, self._three = self._region, None, None
        if region is None:
            return ""
        if not keep_as:
            region.__exit__(None, None, None)
            return ""
        region.__exit__(AssertionError, AssertionError(), None)
        kept = LAB / "kept" / keep_as[:100]
        shutil.rmtree(kept, ignore_errors=True)
        kept.parent.mkdir(exist_ok=True)
        region.path.rename(kept)
        return str(kept.relative_to(LAB.parent))

    def told(self, since: float) -> str:
        """What happened, and what each node said, since that instant (Unix time)."""
        return told(self._region, since) if self._region else ""

    def last_words(self) -> str:
        return self._region.last_words() if self._region else ""
