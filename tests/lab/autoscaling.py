"""The Auto Scaling that moto lacks, by steering moto's own groups and instances (so that every API answers from one truth).

Rules, from the EC2 Auto Scaling User Guide where it says:
- Launch: Pending, with a launch hook Pending:Wait and, once all are completed, Pending:Proceed, then InService. Into the
  zone with the fewest instances (the first by name of several), at the lowest free address of its subnet.
- End: Terminating, with a termination hook Terminating:Wait and Terminating:Proceed; then the instance is shut down, and
  gone from the group once EC2 says `terminated`. An instance being ended no longer counts: its replacement starts at once.
- A hook waits for its heartbeat timeout, anew after each heartbeat, at most 100 timeouts; then its default result counts.
  ABANDON at a launch ends the instance (without the termination hook); at a termination it only skips the other hooks.
- An instance that EC2 says is stopped or terminated (AWS looks about once a minute), or that was set unhealthy, is ended
  and replaced. For one that is terminated already the termination hook waits too, in vain.
- Scale-in: the zone with the most instances, in it by the group's termination policies (AWS's default one, with one launch
  template, picks the oldest closest to its billing hour; protected ones never).
- A hook that is deleted waits no longer: ABANDON for those that are launched, CONTINUE for those that are ended.
- A group that cannot launch says so in its activities and tries again.
"""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.models import ASG_NAME_TAG, FakeAutoScalingGroup, InstanceState, autoscaling_backends
from moto.ec2.models.instances import Instance

from tests.lab.refresh import Refresh

LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"
LONGEST_WAIT = 100  # heartbeat timeouts
LOOK_EVERY = 0.2  # seconds between looks at deadlines and at the instances' health
TRY_AGAIN = 1.0  # seconds after a launch that failed
FIRST_HOST = 4  # AWS keeps the first four addresses of a subnet

FAILED_HEALTH_CHECK = (
    "an instance was taken out of service in response to an EC2 health check that indicated it had been terminated or stopped."
)
RUNS = ("pending", "running")
FAILED = ("stopped", "terminated")
EC2_CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}


class Wait(NamedTuple):
    """One hook that one instance waits for. Instants are monotonic."""

    until: float
    longest: float


class AutoScaling:
    """The controller of every group in one region of the lab.

    `power_on(instance, group)` boots a machine; `power_off(instance)` shuts one down and returns when nothing of it runs;
    `tell(sentence)` hears what happens. `full_zones` are those where EC2 has no room.
    """

    def __init__(
        self,
        account: str,
        power_on: Callable[[Instance, FakeAutoScalingGroup], None],
        power_off: Callable[[Instance], None],
        tell: Callable[[str], None],
    ) -> None:
        self.account = account
        self.power_on = power_on
        self.power_off = power_off
        self.tell = tell
        self.reuse_addresses = True
        self.full_zones: set[str] = set()
        self.lock = threading.RLock()
        self.activities: list[dict[str, Any]] = []  # newest first
        self.refreshes: list[Refresh] = []  # newest first
        self._versions: dict[str, int] = {}  # instance id -> the version of the launch template that it was launched from
        self._waits: dict[str, dict[str, Wait]] = {}  # instance id -> hook name -> wait
        self._used: set[str] = set()  # every address ever given
        self._not_before: dict[
            tuple[str, str], float
        ] = {}  # region and group -> no launch before (monotonic), after a failed one
        self._due = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._endings: list[threading.Thread] = []

    def poke(self) -> None:
        self._due.set()

    def close(self) -> None:
        """Nothing is launched or ended after this."""
        self._ended = True
        self.poke()
        if self._thread.is_alive():
            self._thread.join()
        for ending in self._endings:
            ending.join()

    def groups(self) -> Iterator[FakeAutoScalingGroup]:
        for backend in list(autoscaling_backends[self.account].values()):
            yield from list(backend.autoscaling_groups.values())

    def state_of(self, instance_id: str) -> InstanceState | None:
        """The group's entry of an instance, None outside a group or after its end."""
        states = (state for group in self.groups() for state in group.instance_states)
        return next((state for state in states if state.instance.id == instance_id), None)

    # What the API asks for

    def complete(self, group: str, hook: str, instance_id: str, result: str) -> None:
        with self.lock:
            state = self._waiting(group, hook, instance_id)
            self.tell(f"{instance_id}: {hook} completed with {result}")
            self._completed(state, hook, result)
        self.poke()

    def heartbeat(self, group: str, hook: str, instance_id: str) -> None:
        with self.lock:
            state = self._waiting(group, hook, instance_id)
            wait = self._waits[instance_id][hook]
            until = time.monotonic() + self._hook(state, hook).heartbeat_timeout
            self._waits[instance_id][hook] = wait._replace(until=min(until, wait.longest))

    def remaining(self, instance_id: str, hook: str) -> float:
        """Seconds until this hook's default result counts for this instance. KeyError when it does not wait."""
        return self._waits[instance_id][hook].until - time.monotonic()

    def take(self, instance_id: str, decrement: bool) -> dict[str, Any]:
        """TerminateInstanceInAutoScalingGroup."""
        with self.lock:
            state = self.state_of(instance_id)
            if state is None:
                raise ValidationError(f"Instance Id not found - No managed instance found for instance ID {instance_id}")
            group = state.auto_scaling_group
            if decrement and group.desired_capacity <= group.min_size:
                raise ValidationError("Currently, desiredSize equals minSize: terminating without replacement violates it.")
            group.desired_capacity -= decrement
            self._end(state, f"instance {instance_id} was taken out of service in response to a user request.")
        self.poke()
        return self.activities[0]

    def forget_hook(self, group: FakeAutoScalingGroup, name: str) -> None:
        """DeleteLifecycleHook, before the hook is gone."""
        with self.lock:
            for state in group.instance_states:
                if name in self._waits.get(state.instance.id, {}):
                    result = "ABANDON" if state.lifecycle_state == "Pending:Wait" else "CONTINUE"
                    self.tell(f"{state.instance.id}: {name} is deleted, {result}")
                    self._completed(state, name, result)
        self.poke()

    def refresh(self, group: FakeAutoScalingGroup, preferences: Mapping[str, Any]) -> str:
        """StartInstanceRefresh; its id."""
        with self.lock:
            if any(refresh.status == "InProgress" for refresh in self.refreshes_of(group)):
                raise AutoscalingClientError("InstanceRefreshInProgress", "An Instance Refresh is already in progress")
            refresh = Refresh(group, preferences, staying_in(group), version_of(group), self._versions)
            self.refreshes.insert(0, refresh)
            self.tell(f"{group.name}: an instance refresh to version {version_of(group)} of its launch template")
        self.poke()
        return refresh.id

    def refreshes_of(self, group: FakeAutoScalingGroup) -> list[Refresh]:
        """Newest first."""
        return [refresh for refresh in self.refreshes if refresh.group is group]

    def _waiting(self, group: str, hook: str, instance_id: str) -> InstanceState:
        state = self.state_of(instance_id)
        if state is None or state.auto_scaling_group_name != group or hook not in self._waits.get(instance_id, {}):
            raise ValidationError(f"No active Lifecycle Action found with instance ID {instance_id}")
        return state

    # The loop

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        while not self._ended:
            self._due.wait(LOOK_EVERY)
            self._due.clear()
            with self.lock:
                for group in self.groups():
                    self._look_at(group)

    def _look_at(self, group: FakeAutoScalingGroup) -> None:
        for state in list(group.instance_states):
            self._check_health(state)
            self._check_deadlines(state)
            self._proceed(state)
        staying = staying_in(group)
        refresh = next(iter(self.refreshes_of(group)), None)
        if refresh and (old := refresh.due(staying, group.desired_capacity)):
            staying.remove(old)
            self._end(old, f"instance {old.instance.id} was taken out of service in response to an instance refresh.")
            refresh.took_one()
        if refresh:
            refresh.look(staying)
        wanted = group.desired_capacity + (refresh.surplus(staying) if refresh else 0)
        for _ in range(len(staying) - wanted):
            victim = self._victim(staying)
            if victim is None:
                break
            staying.remove(victim)
            self._end(
                victim,
                f"instance {victim.instance.id} was selected for termination: the desired capacity is {group.desired_capacity}.",
            )
        if time.monotonic() >= self._not_before.get((group.region, group.name), 0.0):
            for _ in range(wanted - len(staying)):
                self._launch(group)

    def _check_health(self, state: InstanceState) -> None:
        if state.lifecycle_state.startswith("Terminating"):
            return
        if state.instance.state in FAILED:
            state.health_status = "Unhealthy"
            self._end(
                state,
                FAILED_HEALTH_CHECK,
            )
        elif state.health_status == "Unhealthy":
            self._end(state, "an instance was taken out of service in response to a user health-check.")

    def _check_deadlines(self, state: InstanceState) -> None:
        for hook, wait in list(self._waits.get(state.instance.id, {}).items()):
            if time.monotonic() >= wait.until:
                result = self._hook(state, hook).default_result
                self.tell(f"{state.instance.id}: {hook} timed out, {result}")
                self._completed(state, hook, result)

    def _completed(self, state: InstanceState, hook: str, result: str) -> None:
        waits = self._waits[state.instance.id]
        del waits[hook]
        if result != "ABANDON":
            return
        waits.clear()
        if state.lifecycle_state == "Pending:Wait":
            self._record(state.auto_scaling_group, f"Terminating EC2 instance: {state.instance.id}", "its launch was abandoned.")
            state.lifecycle_state = "Terminating:Proceed"

    def _proceed(self, state: InstanceState) -> None:
        """One instance as far on its way as nothing holds it."""
        waits = self._waits.get(state.instance.id)
        if state.lifecycle_state == "Pending:Wait" and not waits:
            state.lifecycle_state = "Pending:Proceed"
        if state.lifecycle_state in ("Pending", "Pending:Proceed"):
            state.lifecycle_state = "InService"
            self.tell(f"{state.instance.id} is in service")
        if state.lifecycle_state == "Terminating:Wait" and not waits:
            state.lifecycle_state = "Terminating:Proceed"
        if state.lifecycle_state in ("Terminating", "Terminating:Proceed"):
            if state.instance.state in RUNS:
                state.instance.terminate()
            elif state.instance.state == "terminated":
                state.auto_scaling_group.instance_states.remove(state)
                self._waits.pop(state.instance.id, None)

    def _victim(self, staying: list[InstanceState]) -> InstanceState | None:
        free = [state for state in staying if not state.protected_from_scale_in]
        if not free:
            return None
        zones = Counter(state.availability_zone for state in staying)
        most = max(zones[state.availability_zone] for state in free)
        left = [state for state in free if zones[state.availability_zone] == most]
        for policy in free[0].auto_scaling_group.termination_policies:
            left = self._picked(policy, left)
        return min(left, key=lambda state: str(state.instance.id))

    def _picked(self, policy: str, states: list[InstanceState]) -> list[InstanceState]:
        """Those that the policy ends first."""
        by_version = policy == "OldestLaunchTemplate"
        ranks: list[Any] = [self._versions[s.instance.id] if by_version else s.instance.launch_time for s in states]
        first = max(ranks) if policy == "NewestInstance" else min(ranks)
        return [state for state, rank in zip(states, ranks, strict=True) if rank == first]

    # Launch and end

    def _launch(self, group: FakeAutoScalingGroup) -> None:
        subnet = self._subnet_for(group)
        zone = subnet.availability_zone
        if zone in self.full_zones:
            self._not_before[group.region, group.name] = time.monotonic() + TRY_AGAIN
            why = f"We currently do not have sufficient {group.instance_type} capacity in the Availability Zone you requested"
            self._record(
                group,
                "Launching a new EC2 instance",
                "an instance was needed.",
                "Failed",
                f"{why} ({zone}). Launching EC2 instance failed.",
            )
            return
        instance = group.ec2_backend.run_instances(
            group.image_id,
            1,
            group.user_data,
            group.security_groups,
            instance_type=group.instance_type,
            tags={"instance": {**group.get_propagated_tags(), ASG_NAME_TAG: group.name, **group.instance_tags}},
            launch_config=group.launch_config,
            launch_template={"LaunchTemplateId": group.ec2_launch_template.id, "Version": str(version_of(group))},
            is_instance_type_default=False,
            associate_public_ip=False,
            subnet_id=subnet.id,
            private_ip=self._address_in(subnet),
            region_name=group.region,
        ).instances[0]
        instance.autoscaling_group = group
        self._versions[instance.id] = version_of(group)
        state = InstanceState(instance, "Pending", protected_from_scale_in=group.new_instances_protected_from_scale_in)
        group.instance_states.append(state)
        self._open_hooks(state, LAUNCHING, "Pending:Wait")
        cause = (
            f"an instance was started in response to a difference between desired and actual capacity ({group.desired_capacity})."
        )
        self._record(group, f"Launching a new EC2 instance: {instance.id}", cause)
        self.tell(f"{instance.id} launched at {instance.private_ip} in {zone}")
        self.power_on(instance, group)

    def _subnet_for(self, group: FakeAutoScalingGroup) -> Any:
        """The subnet whose zone holds the fewest instances that stay."""
        subnets = [group.ec2_backend.get_subnet(name.strip()) for name in (group.vpc_zone_identifier or "").split(",")]
        staying = staying_in(group)
        going = [state for refresh in self.refreshes_of(group)[:1] for state in refresh.going(staying)]
        count = Counter(state.availability_zone for state in staying if state not in going)
        return min(subnets, key=lambda subnet: (count[subnet.availability_zone], subnet.availability_zone))

    def _address_in(self, subnet: Any) -> str:
        taken = set() if self.reuse_addresses else set(self._used)
        hosts = (str(subnet.cidr.network_address + offset) for offset in range(FIRST_HOST, subnet.cidr.num_addresses - 1))
        address = next(host for host in hosts if host not in taken and host not in subnet._subnet_ips)
        self._used.add(address)
        return address

    def _end(self, state: InstanceState, cause: str) -> None:
        if state.lifecycle_state.startswith("Terminating"):
            return
        self._waits.pop(state.instance.id, None)
        state.lifecycle_state = "Terminating"
        self._open_hooks(state, TERMINATING, "Terminating:Wait")
        self._record(state.auto_scaling_group, f"Terminating EC2 instance: {state.instance.id}", cause)
        self.tell(f"{state.instance.id} is being taken: {cause}")

    def _open_hooks(self, state: InstanceState, transition: str, waiting: str) -> None:
        now = time.monotonic()
        hooks = [hook for hook in self._hooks(state) if hook.lifecycle_transition == transition]
        if hooks:
            state.lifecycle_state = waiting
            self._waits[state.instance.id] = {
                hook.name: Wait(now + hook.heartbeat_timeout, now + LONGEST_WAIT * hook.heartbeat_timeout) for hook in hooks
            }

    def _hooks(self, state: InstanceState) -> list[Any]:
        group = state.auto_scaling_group
        return group.autoscaling_backend.describe_lifecycle_hooks(group.name)

    def _hook(self, state: InstanceState, name: str) -> Any:
        return next(hook for hook in self._hooks(state) if hook.name == name)

    def _record(
        self, group: FakeAutoScalingGroup, description: str, cause: str, status: str = "Successful", message: str = ""
    ) -> None:
        now = datetime.now(UTC)
        activity = {
            "ActivityId": str(uuid.uuid4()),
            "AutoScalingGroupName": group.name,
            "AutoScalingGroupARN": group.arn,
            "Description": description,
            "Cause": f"At {now:%Y-%m-%dT%H:%M:%SZ} {cause}",
            "StartTime": now,
            "EndTime": now,
            "StatusCode": status,
            "Progress": 100,
            "Details": "{}",
        }
        if message:
            activity["StatusMessage"] = message
        self.activities.insert(0, activity)

    def ended(self, instance: Instance, finish: Callable[[], None]) -> None:
        """TerminateInstances: an orderly shutdown, then EC2 says `terminated` and the address is free again."""
        if instance.state in ("shutting-down", "terminated"):
            return
        set_state(instance, "shutting-down")
        self.tell(f"{instance.id} is shutting down")

        def end() -> None:
            self.power_off(instance)
            with self.lock:
                subnet = instance.ec2_backend.get_subnet(instance.subnet_id)
                subnet.del_subnet_ip(instance.private_ip)
                finish()
                self.tell(f"{instance.id} is terminated")
            self.poke()

        ending = threading.Thread(target=end, daemon=True)
        self._endings.append(ending)
        ending.start()


def staying_in(group: FakeAutoScalingGroup) -> list[InstanceState]:
    return [state for state in group.instance_states if not state.lifecycle_state.startswith("Terminating")]


def version_of(group: FakeAutoScalingGroup) -> int:
    """The version of its launch template that the group launches now."""
    return int(group.ec2_launch_template.get_version(group.launch_template_version).number)


def set_state(instance: Instance, name: str) -> None:
    instance._state.name = name
    instance._state.code = EC2_CODES[name]
