"""The Auto Scaling group of this node, and EC2."""

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from zkboot.aws.imds import Imds
from zkboot.aws.session import asking, clients, code_of, date_of
from zkboot.errors import UnknownFact
from zkboot.model import Group, Instance
from zkboot.settings import Settings
from zkboot.world import Metadata

NO_HOOK_WAITS = "No active Lifecycle Action found"  # how a ValidationError says it
MOST_VALUES = 200  # of one request's filters (EC2 User Guide, "Find your resources": FilterLimitExceeded beyond)
ACTIVITIES = 20  # of the newest, read for the reason of a missing instance


def node_metadata(settings: Settings) -> Imds:
    """The node's metadata, with the group's name from the settings, else the instance's tag, else the group API."""

    def find(instance_id: str) -> str:
        with asking("autoscaling:DescribeAutoScalingInstances", instance_id):
            client = clients(settings.aws).client("autoscaling")
            found = client.describe_auto_scaling_instances(InstanceIds=[instance_id])["AutoScalingInstances"]
            names = [str(instance["AutoScalingGroupName"]) for instance in found]
        if not names:
            raise UnknownFact(f"{instance_id} is in no Auto Scaling group: attach it to one, or set aws.group")
        return names[0]

    return Imds(settings.aws.metadata_endpoint, settings.aws.group, find)


class AutoScaling:
    """The group that the metadata names as this node's."""

    def __init__(self, settings: Settings, metadata: Metadata) -> None:
        self._metadata = metadata
        self._clients = clients(settings.aws)

    def describe(self, instance_ids: frozenset[str]) -> Group:
        me = self._metadata.me().instance_id
        desired, members = self._group()
        others = sorted({*instance_ids, *members} - {me})
        parts = [others[first : first + MOST_VALUES - 1] for first in range(0, len(others), MOST_VALUES - 1)] or [[]]
        answers = [self._instances([me, *part]) for part in parts]
        known = {i: found for answer, _ in answers for i, found in answer.items()}
        # What the group has and EC2 does not know was launched a moment ago: EC2 is eventually consistent.
        instances = {**members, **{i: found._replace(lifecycle=_lifecycle(members.get(i))) for i, found in known.items()}}
        return Group(desired, instances, all(me in answer for answer, _ in answers), min(date for _, date in answers))

    def complete(self, hook: str) -> bool:
        with asking("autoscaling:CompleteLifecycleAction", f"the hook {hook} of {self._name}"):
            return self._of_hook(self._client.complete_lifecycle_action, hook, LifecycleActionResult="CONTINUE")

    def heartbeat(self, hook: str) -> None:
        with asking("autoscaling:RecordLifecycleActionHeartbeat", f"the hook {hook} of {self._name}"):
            self._of_hook(self._client.record_lifecycle_action_heartbeat, hook)

    def activity(self) -> str:
        """The newest launch decides: when it succeeded, no instance is missing for a reason of the group's."""
        with asking("autoscaling:DescribeScalingActivities", f"the Auto Scaling group {self._name}"):
            answer = self._client.describe_scaling_activities(AutoScalingGroupName=self._name, MaxRecords=ACTIVITIES)
            for activity in answer["Activities"]:
                if not activity.get("Description", "").startswith("Launching"):
                    continue
                if activity["StatusCode"] == "Successful":
                    return ""
                if reason := activity.get("StatusMessage"):
                    return str(reason)
        return ""

    def _group(self) -> tuple[int, Mapping[str, Instance]]:
        """The desired capacity, and the group's instances as far as it knows them."""
        with asking("autoscaling:DescribeAutoScalingGroups", f"the Auto Scaling group {self._name}"):
            pages = self._client.get_paginator("describe_auto_scaling_groups").paginate(AutoScalingGroupNames=[self._name])
            groups = [group for page in pages for group in page["AutoScalingGroups"]]
            if not groups:
                region = self._client.meta.region_name
                raise UnknownFact(f"there is no Auto Scaling group {self._name} in {region}: correct aws.group or aws.region")
            members = [
                Instance(str(m["InstanceId"]), "", str(m["AvailabilityZone"]), "pending", str(m["LifecycleState"]))
                for m in groups[0]["Instances"]
            ]
            return int(groups[0]["DesiredCapacity"]), {member.id: member for member in members}

    def _instances(self, instance_ids: list[str]) -> tuple[Mapping[str, Instance], float]:
        """EC2's answer by instance id, the terminated that it still lists included, and its date.

        A filter, unlike the parameter InstanceIds, lets the answer leave out an instance that EC2 does not know. This node's own
        is asked for each time: only an answer that knows it says of another that there is none.
        """
        with asking("ec2:DescribeInstances", ", ".join(instance_ids)):
            filters = [{"Name": "instance-id", "Values": instance_ids}]
            pages = list(self._clients.client("ec2").get_paginator("describe_instances").paginate(Filters=filters))
            found = [
                Instance(
                    id=str(instance["InstanceId"]),
                    address=str(instance.get("PrivateIpAddress", "")),
                    zone=str(instance["Placement"]["AvailabilityZone"]),
                    state=str(instance["State"]["Name"]),
                    lifecycle="",
                )
                for page in pages
                for reservation in page["Reservations"]
                for instance in reservation["Instances"]
            ]
            return {instance.id: instance for instance in found}, date_of(pages[0])

    def _of_hook(self, call: Callable[..., Any], hook: str, **more: str) -> bool:
        """Whether that hook waits for this instance."""
        try:
            call(
                AutoScalingGroupName=self._name,
                LifecycleHookName=hook,
                InstanceId=self._metadata.me().instance_id,
                **more,
            )
        except ClientError as error:
            if code_of(error) != "ValidationError" or NO_HOOK_WAITS not in str(error):
                raise
            return False
        return True

    @property
    def _client(self) -> Any:
        return self._clients.client("autoscaling")

    @property
    def _name(self) -> str:
        return self._metadata.me().scope.group


def _lifecycle(member: Instance | None) -> str:
    return member.lifecycle if member else ""
