"""Auto Scaling's API as the lab answers it: moto's own calls told to the controller, and those that moto lacks."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.models.instances import Instance

from tests.lab.autoscaling import AutoScaling


@contextmanager
def steered(controller: AutoScaling) -> Iterator[None]:
    """While this holds, moto's groups only note what they are told, and `controller` does it; the calls that moto lacks exist."""
    terminate, delete_hook = Instance.terminate, AutoScalingBackend.delete_lifecycle_hook

    def set_desired(group: FakeAutoScalingGroup, capacity: int | None) -> None:
        group.desired_capacity = group.min_size if capacity is None else capacity
        controller.poke()

    def set_desired_checked(backend: AutoScalingBackend, name: str, capacity: int) -> None:
        group = group_of(backend, name)
        for bound, word, limit in (
            (capacity > group.max_size, "above max", group.max_size),
            (capacity < group.min_size, "below min", group.min_size),
        ):
            if bound:
                raise ValidationError(
                    f"New SetDesiredCapacity value {capacity} is {word} value {limit} for the AutoScalingGroup."
                )
        group.set_desired_capacity(capacity)

    def terminated(instance: Instance) -> Any:
        previous = type(instance._state)(instance.state, instance.state_code)
        controller.ended(instance, lambda: terminate(instance))
        return previous

    def complete(response: AutoScalingResponse) -> ActionResult:
        controller.complete(*lifecycle_action(response), response._get_param("LifecycleActionResult"))
        return EmptyResult()

    def heartbeat(response: AutoScalingResponse) -> ActionResult:
        controller.heartbeat(*lifecycle_action(response))
        return EmptyResult()

    def activities(response: AutoScalingResponse) -> ActionResult:
        name = response._get_param("AutoScalingGroupName")
        mine = [activity for activity in controller.activities if name in (None, activity["AutoScalingGroupName"])]
        start, size = int(response._get_param("NextToken") or 0), response._get_int_param("MaxRecords") or 100
        more = str(start + size) if len(mine) > start + size else None
        return ActionResult({"Activities": mine[start : start + size], "NextToken": more})

    def hook_deleted(backend: AutoScalingBackend, as_name: str, name: str) -> None:
        controller.forget_hook(group_of(backend, as_name), name)
        delete_hook(backend, as_name, name)

    def refresh(response: AutoScalingResponse) -> ActionResult:
        group = group_of(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
        return ActionResult({"InstanceRefreshId": controller.refresh(group, response._get_params().get("Preferences", {}))})

    def refreshes(response: AutoScalingResponse) -> ActionResult:
        mine = controller.refreshes_of(group_of(response.autoscaling_backend, response._get_param("AutoScalingGroupName")))
        return ActionResult({"InstanceRefreshes": [refresh.told() for refresh in mine]})

    gone = {"private_ip_address": None, "network_interfaces": [], "vpc_id": None, "subnet_id": None, "private_dns_name": ""}
    replaced: list[tuple[Any, str, Any]] = [
        (FakeAutoScalingGroup, "set_desired_capacity", set_desired),
        (AutoScalingBackend, "set_desired_capacity", set_desired_checked),
        (AutoScalingBackend, "notify_terminate_instances", lambda backend, instance_ids: controller.poke()),
        (
            AutoScalingBackend,
            "terminate_instance",
            lambda backend, instance_id, decrement: controller.take(instance_id, decrement),
        ),
        (AutoScalingResponse, "complete_lifecycle_action", complete),
        (AutoScalingResponse, "record_lifecycle_action_heartbeat", heartbeat),
        (AutoScalingResponse, "describe_scaling_activities", activities),
        (AutoScalingBackend, "delete_lifecycle_hook", hook_deleted),
        (AutoScalingResponse, "start_instance_refresh", refresh),
        (AutoScalingResponse, "describe_instance_refreshes", refreshes),
        (Instance, "terminate", terminated),
        *((Instance, name, none_when_terminated(name, value)) for name, value in gone.items()),
    ]
    with ExitStack() as stack:
        for owner, name, value in replaced:
            stack.enter_context(patch.object(owner, name, value, create=True))
        yield


def group_of(backend: AutoScalingBackend, name: str) -> FakeAutoScalingGroup:
    """Raises what AWS says of a group that is not there."""
    if name not in backend.autoscaling_groups:
        raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup: {name} not found")
    return backend.autoscaling_groups[name]


def none_when_terminated(name: str, value: Any) -> property:
    """EC2 no longer tells the network of a terminated instance."""
    told = vars(Instance)[name]
    return property(lambda instance: value if instance.state == "terminated" else told.fget(instance))


def lifecycle_action(response: AutoScalingResponse) -> tuple[str, str, str]:
    names = ("AutoScalingGroupName", "LifecycleHookName", "InstanceId")
    group, hook, instance_id = (response._get_param(name) for name in names)
    if instance_id is None:
        raise ValidationError("The lab completes lifecycle actions by InstanceId only.")
    return group, hook, instance_id
