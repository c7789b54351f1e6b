"""Where moto keeps or tells something otherwise than AWS does, and Terraform's second plan would show it.

One correction each, to what the API reference of the service says; what is not corrected is listed where the plan is tested.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import xmltodict
from moto.autoscaling.models import FakeAutoScalingGroup, LifecycleHook
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.types import Base64EncodedString
from moto.ec2.models.launch_templates import LaunchTemplate
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket
from moto.s3.responses import S3Response

WITHOUT_TLS = {"Bool": {"aws:SecureTransport": "false"}}


@contextmanager
def corrected() -> Iterator[None]:
    """While this holds, moto answers so."""
    hook, version = LifecycleHook.__init__, LaunchTemplate.create_version
    create, update = AutoScalingResponse.create_auto_scaling_group, AutoScalingResponse.update_auto_scaling_group
    put_bucket = S3Response._bucket_response_put

    def without_target(self: LifecycleHook, *arguments: Any) -> None:
        """A hook tells nobody unless it was given somebody to tell."""
        hook(self, *arguments)
        self.role_arn = self.notification_target_arn = None

    def keeping_maintenance(respond: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """CreateAutoScalingGroup and UpdateAutoScalingGroup: InstanceMaintenancePolicy."""

        def kept(response: Any) -> Any:
            result = respond(response)
            group = response.autoscaling_backend.autoscaling_groups[response._get_param("AutoScalingGroupName")]
            if policy := response._get_params().get("InstanceMaintenancePolicy"):
                group.instance_maintenance_policy = policy
            return result

        return kept

    def version_of(self: LaunchTemplate, data: dict[str, Any], description: str) -> Any:
        """The tags of the template itself are none of its data; user data are base64 in each version, not only in the first."""
        specifications = [spec for spec in data.get("TagSpecifications", ()) if spec["ResourceType"] != "launch-template"]
        told = data.get("UserData")
        user_data = Base64EncodedString(told) if isinstance(told, str) else told
        return version(self, {**data, "TagSpecifications": specifications, "UserData": user_data}, description)

    def tagged(response: S3Response, request: Any, bucket_name: str, querystring: Any) -> Any:
        """CreateBucket: the tags in CreateBucketConfiguration."""
        known = bucket_name in response.backend.buckets
        result = put_bucket(response, request, bucket_name, querystring)
        if not known and bucket_name in response.backend.buckets and response.body:
            told = xmltodict.parse(response.body, force_list=("Tag",))["CreateBucketConfiguration"].get("Tags") or {"Tag": []}
            response.backend.put_bucket_tagging(bucket_name, {tag["Key"]: tag["Value"] for tag in told["Tag"]})
        return result

    def permission(bucket: FakeBucket, action: str, resource: str) -> Any:
        """A statement of a bucket's policy counts where its condition holds. The region's plain HTTP stands for TLS."""
        if bucket.policy is None:
            return PermissionResult.NEUTRAL
        policy = json.loads(bucket.policy)
        policy["Statement"] = [statement for statement in policy["Statement"] if statement.get("Condition") != WITHOUT_TLS]
        return IAMPolicy(json.dumps(policy)).is_action_permitted(action, resource)

    def description(rule: SecurityGroupRule) -> str | None:
        """Of a rule that names a group too."""
        found: str | None = rule.ip_range.get("Description") or rule.source_group.get("Description")
        return found

    def referenced(rule: SecurityGroupRule) -> Mapping[str, str] | None:
        """Without the owner: the provider is not told its account here, and takes every owner for another one."""
        return {key: value for key, value in rule.source_group.items() if key == "GroupId"} or None

    replaced: list[tuple[Any, str, Any]] = [
        (LifecycleHook, "__init__", without_target),
        (FakeAutoScalingGroup, "instance_maintenance_policy", None),
        (AutoScalingResponse, "create_auto_scaling_group", keeping_maintenance(create)),
        (AutoScalingResponse, "update_auto_scaling_group", keeping_maintenance(update)),
        (LaunchTemplate, "create_version", version_of),
        (S3Response, "_bucket_response_put", tagged),
        (FakeBucket, "get_permission", permission),
        (SecurityGroupRule, "description", property(description)),
        (SecurityGroupRule, "referenced_group_info", property(referenced)),
    ]
    with ExitStack() as stack:
        for owner, name, value in replaced:
            stack.enter_context(patch.object(owner, name, value, create=True))
        yield
