"""One Auto Scaling group and the ensemble on its machines, in the words of a scenario."""

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from moto.autoscaling.models import FakeAutoScalingGroup, autoscaling_backends

from tests.lab import ensemble
from tests.lab.iam import ACCOUNT
from tests.lab.machines import Machine

if TYPE_CHECKING:
    from tests.lab.region import Region

BUCKET = "zkboot-lab"  # the region's own
ZKBOOT = (sys.executable, "-m", "tests.lab.node")
DEADLINE = 150.0  # seconds, for what an idle machine does in a few: it costs nothing where it comes true


def nothing_more(index: int) -> Mapping[str, str]:
    return {}


class GroupPlan(NamedTuple):
    """What a group is made of. `environment(index)` is added to the index-th machine ever launched (0 is the first)."""

    name: str
    cluster: str
    max_size: int = 9
    settings: Mapping[str, Any] = {}  # over the lab's own, table by table
    hooks: bool = True  # launch and termination hooks
    heartbeat_timeout: int = 300  # seconds, of both hooks
    backups: tuple[float, float] = (300.0, 840.0)  # seconds from a boot to the first look at backups, and from look to look
    command: tuple[str, ...] = ZKBOOT
    aws_region: str = "eu-west-1"
    bucket: str = BUCKET
    environment: Callable[[int], Mapping[str, str]] = nothing_more

    @property
    def key(self) -> str:
        return f"{self.aws_region}-{self.name}"


class Group:
    """`machines` are all that it ever launched, by instance id; `living` those that EC2 has not ended."""

    def __init__(self, region: "Region", plan: GroupPlan) -> None:
        self.region = region
        self.plan = plan
        self.machines: dict[str, Machine] = {}

    @property
    def asg(self) -> FakeAutoScalingGroup:
        return autoscaling_backends[ACCOUNT][self.plan.aws_region].autoscaling_groups[self.plan.name]

    def scale(self, size: int) -> None:
        """SetDesiredCapacity."""
        autoscaling_backends[ACCOUNT][self.plan.aws_region].set_desired_capacity(self.plan.name, size)

    @property
    def living(self) -> list[Machine]:
        return [machine for machine in list(self.machines.values()) if self.region.ec2_state(machine) in ("pending", "running")]

    @property
    def hosts(self) -> list[str]:
        """Addresses of the living, for a client's connect string."""
        return [f"{machine.address}:{machine.client_port}" for machine in self.living]

    # The ensemble, as its servers and a client see it

    def modes(self) -> dict[str, str]:
        """Instance id -> leader, follower, observer, or "" for a living machine whose server does not serve."""
        return {machine.instance_id: answer.mode if (answer := machine.answer()) else "" for machine in self.living}

    def leader(self) -> Machine:
        """Who leads, as soon as one does."""
        return self._machines("leader", self._settled())[0]

    def followers(self) -> list[Machine]:
        """Voting ones, as soon as one leads: a server outside the configuration says `follower` too."""
        modes = self._settled()
        voters = {member.address for member in self.wait_until(self.voters, f"the configuration of {self.plan.name} can be read")}
        return [machine for machine in self._machines("follower", modes) if machine.address in voters]

    def observers(self) -> list[Machine]:
        return self._machines("observer", self._settled())

    def _machines(self, mode: str, modes: Mapping[str, str]) -> list[Machine]:
        return [self.machines[key] for key in modes if modes[key] == mode]

    def _settled(self) -> dict[str, str]:
        """The modes once one server leads and whichever else runs has found its place: between elections."""

        def settled() -> dict[str, str]:
            modes = self.modes()
            looking = any(self.machines[key].server_pid for key, mode in modes.items() if not mode)
            return modes if list(modes.values()).count("leader") == 1 and not looking else {}

        found: dict[str, str] = self.wait_until(settled, f"the servers of {self.plan.name} have a leader")
        return found

    def members(self) -> tuple[ensemble.Member, ...]:
        """The live configuration, as a serving member shows it; () when none serves."""
        from kazoo.exceptions import KazooException
        from kazoo.handlers.threading import KazooTimeoutError

        for machine in self.living:
            if machine.answer():
                try:
                    return ensemble.configuration(machine.address, machine.client_port)[1]
                except (KazooException, KazooTimeoutError):
                    continue
        return ()

    def voters(self) -> tuple[ensemble.Member, ...]:
        return tuple(member for member in self.members() if member.role == "participant")

    def tree_count(self) -> int:
        """How many znodes the leader has."""
        found: ensemble.Answer = self.wait_until(lambda: self.leader().answer(), "the leader answers")
        return found.nodes

    def serving(self, size: int) -> bool:
        """Whether `size` machines live, all are members that serve under one leader, and no other member is left."""
        modes = self.modes()
        leaders = list(modes.values()).count("leader")
        if len(modes) != size or "" in modes.values() or leaders != min(size, 1):
            return False
        return {member.address for member in self.members()} == {machine.address for machine in self.living}

    def in_service(self, size: int) -> bool:
        """Whether the group has exactly `size` instances that EC2 has not ended, and let all of them in."""
        states = [state for state in list(self.asg.instance_states) if state.instance.state != "terminated"]
        return [state.lifecycle_state for state in states] == ["InService"] * size

    def wait_serving(self, size: int, deadline: float = DEADLINE) -> None:
        """Until `size` machines serve as members and, all hooks completed, the group has them in service."""
        what = f"{size} machines of {self.plan.name} serve and are in service"
        self.region.wait_until(lambda: self.in_service(size) and self.serving(size), what, deadline)

    def wait_until(self, condition: Callable[[], object], what: str, deadline: float = DEADLINE) -> Any:
        return self.region.wait_until(condition, what, deadline)
