"""Terraform in the region of booted instances: the real provider applies an example of the stack, untouched, as a user types it.

Beside the example lies one override file. It tells the provider what is not AWS here (the example's own provider block is empty),
and the instances where the region's AWS is, and to be as fast and small as the lab's.
"""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.lab.errors import LabError, NotPossibleHere
from tests.lab.full.region import HEAP, FullRegion
from tests.lab.group import Group, GroupPlan
from tests.lab.iam import ADMIN_KEY, ADMIN_SECRET
from tests.lab.region import REGION
from tests.lab.settings import FASTER, merged
from tests.terraform.module import NoTerraform, Stack, copied

EXAMPLE = "examples/new-vpc"
CIDR = "10.77.128.0/17"  # beside the subnets of the region's own groups
# S3 Control is asked at ACCOUNT.HOST where the account is known, and the region's host is an address.
PROVIDER = {
    "skip_credentials_validation": True,
    "skip_metadata_api_check": True,
    "skip_requesting_account_id": True,
    "s3_use_path_style": True,
}
SCALE = f"autoscaling set-desired-capacity --region {REGION} --auto-scaling-group-name"
STACK = "stack"  # the folder of a lab's own, in its region's
TYPED = "typed.json"  # how to type in another terminal what is typed here
LAST_LINES = 40


class Applied:
    """The example in a folder of its own, where its state is kept too."""

    BUCKET = "module.zookeeper.aws_s3_bucket.this[0]"  # what destroy leaves while something is in it

    def __init__(self, region: FullRegion, root: Path, cluster: str) -> None:
        """Raises NotPossibleHere without Terraform or its AWS provider."""
        assert region.image is not None, "Terraform looks for an image"
        self.region = region
        region.register(region.image)
        try:
            with region.network.outside():
                copy = copied(root, EXAMPLE)
        except NoTerraform as error:
            raise NotPossibleHere(str(error)) from None
        aws = {"AWS_ACCESS_KEY_ID": ADMIN_KEY, "AWS_SECRET_ACCESS_KEY": ADMIN_SECRET, "AWS_EC2_METADATA_DISABLED": "true"}
        here = {"AWS_REGION": REGION, "AWS_ENDPOINT_URL": region.endpoint}
        variables = {"TF_VAR_cluster": cluster, "TF_VAR_cidr": CIDR}
        self._stack = Stack(copy.folder, {**copy.environment, **aws, **here, **variables})
        self._name = f"zkboot-{cluster}"
        (root / TYPED).write_text(json.dumps({"folder": str(copy.folder), "environment": {**aws, **here, **variables}}))
        self._module: dict[str, Any] = {}
        self.change(settings=merged({"aws": {"endpoint_url": region.endpoint}, "zookeeper": {"heap": HEAP}}, FASTER))
        if region.no_volumes:
            self.change(data_volume=None)

    def change(self, **arguments: Any) -> None:
        """Other arguments of the module, over what the example gives it; of an object the parts that are named."""
        self._module = merged(self._module, arguments)
        override = {"provider": {"aws": PROVIDER}, "module": {"zookeeper": self._module}}
        (self._stack.folder / "lab_override.tf.json").write_text(json.dumps(override, indent=1))

    # What a user types

    def apply(self, *arguments: str) -> str:
        """`terraform apply`; what it said."""
        return self._well("apply", "-auto-approve", "-input=false", *arguments)

    def destroyed(self) -> list[str]:
        """`terraform destroy`; the addresses that it left. Raises LabError when it fails but for a bucket that is not empty."""
        done = self._stack.run("destroy", "-auto-approve", "-input=false")
        if done.stderr.count("Error: ") != done.stderr.count("BucketNotEmpty"):
            raise LabError(f"terraform destroy failed ({done.returncode}):\n{done.stderr}")
        return self.resources()

    def resources(self) -> list[str]:
        """The addresses in the state of what was made."""
        return [address for address in self._well("state", "list").split() if ".data." not in f".{address}"]

    def plan(self, *arguments: str) -> dict[str, dict[str, Any]]:
        """What `terraform plan` would change: of each resource the attributes that are to be others, and what they are now."""
        self._well("plan", "-out=plan", "-input=false", *arguments)
        told = json.loads(self._well("show", "-json", "plan"))
        changes = {change["address"]: change["change"] for change in told.get("resource_changes", ())}
        return {
            address: differing(change) for address, change in changes.items() if change["actions"] not in (["no-op"], ["read"])
        }

    def scale_by_hand(self, size: int) -> None:
        """The command that the stack's README prints, by the AWS CLI, or where there is none by the call that it makes."""
        if shutil.which("aws"):
            self._typed(["aws", *SCALE.split(), self._name, "--desired-capacity", str(size)])
        else:
            client = self.region.client("autoscaling")
            client.set_desired_capacity(AutoScalingGroupName=self._name, DesiredCapacity=size)

    # What came of it

    @property
    def launched(self) -> bool:
        """Whether an instance of the group was launched."""
        return GroupPlan(self._name, "").key in self.region.groups

    @property
    def group(self) -> Group:
        """Once it has launched one."""
        return self.region.groups[GroupPlan(self._name, "").key]

    def _typed(self, command: list[str]) -> None:
        environment = {**os.environ, **self._stack.environment}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LabError(f"{shlex.join(command)} failed ({done.returncode}): {done.stderr.strip()}")

    def _well(self, *arguments: str) -> str:
        done = self._stack.run(*arguments)
        if done.returncode:
            lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
            raise LabError(f"terraform {arguments[0]} failed ({done.returncode}):\n" + "\n".join(lines[-LAST_LINES:]))
        return done.stdout


def differing(change: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of one planned change that are to be others: their values now ({} of a resource that is to be made)."""
    before, after = change["before"] or {}, change["after"] or {}
    names = before.keys() | after.keys() | change.get("after_unknown", {}).keys()
    return {name: before.get(name) for name in sorted(names) if before.get(name) != after.get(name)}
