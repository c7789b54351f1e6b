"""Instance refreshes, which moto lacks, as far as the stack asks for them.

The rules are those of the EC2 Auto Scaling User Guide, "How an instance refresh works in an Auto Scaling group".
Rolling, with a minimum healthy percentage of 100: a successor is launched first, one at a time (110 % of up to ten instances is
one more), and once it is in service an instance of another version of the launch template is taken, the oldest in the zone that
has the most. Instances of the wanted version are skipped. At a checkpoint nothing is replaced for the delay. The guide does not
say into which zone a successor goes: here into the one with the fewest of the wanted version.
"""

import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from moto.autoscaling.models import FakeAutoScalingGroup, InstanceState


class Refresh:
    """One refresh of one group. `versions` says which version of the launch template each instance was launched from."""

    def __init__(
        self,
        group: FakeAutoScalingGroup,
        preferences: Mapping[str, Any],
        staying: Sequence[InstanceState],
        wanted: int,
        versions: Mapping[str, int],
    ) -> None:
        self.id = str(uuid.uuid4())
        self.group = group
        self.status = "InProgress"
        self.began = datetime.now(UTC)
        self.replaced = 0
        self._wanted = wanted
        self._versions = versions
        self._total = len(self._outdated(staying))
        self._checkpoints = [int(percentage) for percentage in preferences.get("CheckpointPercentages", ())]
        self._delay = float(preferences.get("CheckpointDelay", 3600 if self._checkpoints else 0))
        self._paused_until = 0.0  # monotonic

    def surplus(self, staying: Sequence[InstanceState]) -> int:
        """How many instances more than desired there are to be now."""
        return int(bool(self.going(staying)) and time.monotonic() >= self._paused_until)

    def due(self, staying: Sequence[InstanceState], desired: int) -> InstanceState | None:
        """Whom to take now: its successor serves."""
        serving = [state for state in staying if state.lifecycle_state == "InService"]
        if not self.surplus(staying) or len(serving) <= desired:
            return None
        zones = Counter(state.availability_zone for state in staying)
        return min(
            self.going(staying),
            key=lambda state: (-zones[state.availability_zone], state.instance.launch_time, state.instance.id),
        )

    def took_one(self) -> None:
        self.replaced += 1
        passed = [percentage for percentage in self._checkpoints if percentage <= self.percentage]
        if passed:
            self._checkpoints = self._checkpoints[len(passed) :]
            self._paused_until = time.monotonic() + self._delay * (self.percentage < 100)

    def look(self, staying: Sequence[InstanceState]) -> None:
        if self.status == "InProgress" and not self._outdated(staying):
            self.status = "Successful"

    def going(self, staying: Sequence[InstanceState]) -> list[InstanceState]:
        """Those that are still to be replaced."""
        return self._outdated(staying) if self.status == "InProgress" else []

    @property
    def percentage(self) -> int:
        return 100 * self.replaced // self._total if self._total else 100

    def told(self) -> dict[str, Any]:
        """As DescribeInstanceRefreshes does."""
        return {
            "InstanceRefreshId": self.id,
            "AutoScalingGroupName": self.group.name,
            "Status": self.status,
            "StartTime": self.began,
            "PercentageComplete": self.percentage,
            "InstancesToUpdate": self._total - self.replaced,
        }

    def _outdated(self, staying: Sequence[InstanceState]) -> list[InstanceState]:
        return [state for state in staying if self._versions[state.instance.id] != self._wanted]
