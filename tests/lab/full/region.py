"""A region whose instances are booted containers, launched from AMIs.

with FullRegion() as region:
    ami = region.register(image)
    zk = region.group(size=3, image=ami)
"""

import os
from collections.abc import Mapping
from typing import Any

from moto.autoscaling.models import FakeAutoScalingGroup
from moto.core.types import Base64EncodedString
from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import Instance
from moto.iam.models import iam_backends
from moto.logs.models import logs_backends

from tests.lab.full import cgroups, ec2, loop
from tests.lab.full.machine import FullMachine
from tests.lab.full.metadata import InstanceMetadata, Switchboard
from tests.lab.full.network import Bridge
from tests.lab.group import Group, GroupPlan
from tests.lab.iam import ACCOUNT, PARTITION
from tests.lab.machines import Machine, Site
from tests.lab.region import REGION, Region
from tests.lab.settings import FASTER, merged
from tests.lab.user_data import settings_in, user_data

ROOT_DEVICE = "/dev/xvda"
DATA_DEVICE = "/dev/sdf"
HEAP = "128m"  # all instances share this machine's memory, which each takes for its own


class FullRegion(Region):
    """Root only. `image` is what its groups launch, None a region that only builds.

    Where there are no loop devices, `no_volumes` says why: data lie on the root disk then.
    """

    network: Bridge

    def __init__(self, image: ec2.Image | None = None) -> None:
        super().__init__(Bridge())
        self.image = image
        self.builders: dict[str, FullMachine] = {}  # what the API launched, by instance id

    def _open(self) -> None:
        self.no_volumes = loop.why_not()
        super()._open()
        self.board = Switchboard()
        self._stack.callback(self.board.close)
        self.ec2 = ec2.Ec2(self.path / "images", self._boot_builder, self._machine_of)
        self._stack.enter_context(ec2.steered(self.ec2))

    def register(self, image: ec2.Image) -> str:
        """The image as an AMI of this region; its id."""
        return self.ec2.register(ec2_backends[ACCOUNT][REGION], image)

    def image_of(self, machine: Machine) -> str:
        """The id of the AMI that it was launched from."""
        return str(self._instance(machine).image_id)

    def subnet(self) -> str:
        """One for builders."""
        return self._subnets(REGION)[0]

    # Launches

    def _launch_template(self, plan: GroupPlan, role: str) -> dict[str, Any]:
        assert self.image is not None, "a group needs an image"
        log_group = f"/zkboot/{plan.cluster}"
        logs = logs_backends[ACCOUNT][plan.aws_region]
        if log_group not in logs.groups:
            logs.create_log_group(log_group, {})
        aws = {"bucket": plan.bucket, "region": plan.aws_region, "endpoint_url": self.endpoint, "log_group": log_group}
        devices = [ROOT_DEVICE] if self.no_volumes else [ROOT_DEVICE, DATA_DEVICE]
        node = {} if self.no_volumes else {"volume": "/var/lib/zookeeper"}
        own = {"cluster": plan.cluster, "aws": aws, "node": node, "zookeeper": {"heap": HEAP}}
        tables = merged(merged(own, FASTER), plan.settings)
        return {
            **super()._launch_template(plan, role),
            "ImageId": self.register(self.image),
            "UserData": Base64EncodedString.from_raw_string(user_data(tables)),
            "MetadataOptions": {"HttpTokens": "required", "InstanceMetadataTags": "enabled"},
            "BlockDeviceMappings": [
                {"DeviceName": device, "Ebs": {"VolumeSize": 8, "DeleteOnTermination": True}} for device in devices
            ],
        }

    def _machine(self, instance: Instance, group: Group) -> FullMachine:
        asg = group.asg
        template = asg.ec2_launch_template.get_version(asg.launch_template_version).data
        return self._wired(instance, role_of(template["IamInstanceProfile"]))

    def group_of(self, asg: FakeAutoScalingGroup) -> Group:
        """One that came by the API too: what it is made of stands in its user data."""
        key = GroupPlan(asg.name, "", aws_region=asg.region).key
        if key not in self.groups:
            told = settings_in(asg.user_data.decode())
            plan = GroupPlan(asg.name, told["cluster"], asg.max_size, aws_region=asg.region, bucket=told["aws"]["bucket"])
            self.groups[key] = Group(self, plan)
        return self.groups[key]

    def _boot_builder(self, instance: Instance) -> None:
        machine = self.builders[instance.id] = self._wired(instance, "")
        self.tell(f"{instance.id} launched at {instance.private_ip} by RunInstances")
        machine.power_on()

    def _wired(self, instance: Instance, role: str) -> FullMachine:
        address = instance.private_ip
        self.network.hardware[address] = instance.nics[0].mac_address
        self._imds[instance.id] = self.board.connect(address, InstanceMetadata(self.autoscaling, instance, role))
        site = Site(
            instance_id=instance.id,
            address=address,
            zone=instance.availability_zone,
            root=self.path / instance.id,
            network=self.network,
            command=(),
            settings={},
            environment={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "ZKBOOT_LAB_REGION": str(os.getpid())},
            recover_interval=0,
            backups=(0, 0),
        )
        data = instance.block_device_mapping.get(DATA_DEVICE)
        hostname = instance.private_dns_name.partition(".")[0]
        return FullMachine(site, hostname, self.ec2.layers[instance.image_id], data.volume_id if data else "")

    # Ends

    def _machine_of(self, instance_id: str) -> FullMachine | None:
        machine = self.builders.get(instance_id) or self.machines.get(instance_id)
        return machine if isinstance(machine, FullMachine) else None

    def _power_off(self, instance: Instance) -> None:
        machine = self._machine_of(instance.id)
        assert machine is not None
        machine.shut_down()
        self._imds.pop(instance.id).close()
        machine.discard_disks()
        machine.release()

    def _switch_off(self) -> None:
        for machine in self.builders.values():
            machine.power_cut()
        super()._switch_off()
        cgroups.remove(self.path.name)
        cgroups.remove_top()


def role_of(profile: Mapping[str, str]) -> str:
    """The role in an instance profile, which a launch template gives by name or by ARN."""
    found = iam_backends[ACCOUNT][PARTITION].get_instance_profiles()
    (role,) = next(known.roles for known in found if profile in ({"Name": known.name}, {"Arn": known.arn}))
    return str(role.name)
