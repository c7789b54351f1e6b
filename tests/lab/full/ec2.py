"""The EC2 that a builder of images needs and moto lacks: instances that boot, images that hold what a disk held.

RunInstances boots a machine, StopInstances shuts it down, CreateImage keeps its disk; CopyImage, tags of snapshots and
EnableImageDeprecation work (EC2 API Reference). Groups launch by themselves (tests.lab.autoscaling).
"""

import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from moto.core.responses import ActionResult
from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.amis import Ami, AmiBackend
from moto.ec2.models.instances import Instance, InstanceBackend
from moto.ec2.responses import EC2Response
from moto.ec2.utils import random_ami_id

from tests.lab.autoscaling import set_state
from tests.lab.full.machine import FullMachine

Layers = tuple[Path, ...]


class Image(NamedTuple):
    """What an AMI is made of: folders, the first undermost."""

    name: str
    owner: str
    layers: Layers
    tags: Mapping[str, str]


class Ec2:
    """`boot(instance)` makes a machine for an instance that the API launched; `folder` keeps the layers of images made here."""

    def __init__(self, folder: Path, boot: Callable[[Instance], None], machine_of: Callable[[str], FullMachine | None]) -> None:
        self.layers: dict[str, Layers] = {}  # by AMI id
        self.folder = folder
        self.boot = boot
        self.machine_of = machine_of

    def register(self, backend: EC2Backend, image: Image) -> str:
        """An AMI with that content; its id."""
        ami = Ami(
            backend,
            random_ami_id(),
            name=image.name,
            owner_id=image.owner,
            virtualization_type="hvm",
            architecture="x86_64",
            root_device_type="ebs",
            root_device_name="/dev/xvda",
            region_name=f"{backend.region_name}a",
        )
        ami.add_tags(dict(image.tags))
        backend.amis[ami.id] = ami
        self.layers[ami.id] = image.layers
        return str(ami.id)

    def keep_disk(self, machine: FullMachine, ami: Ami) -> None:
        kept = self.folder / ami.id
        kept.parent.mkdir(exist_ok=True)
        subprocess.run(["cp", "--archive", str(machine.root / "disk"), str(kept)], check=True)
        self.layers[ami.id] = (*map(Path, machine.layers), kept)

    def shut_down(self, instance: Instance, finish: Callable[[], Any]) -> None:
        machine = self.machine_of(instance.id)
        if machine is None:
            finish()
            return
        set_state(instance, "stopping")

        def end() -> None:
            machine.shut_down()
            finish()

        threading.Thread(target=end, daemon=True).start()


@contextmanager
def steered(ec2: Ec2) -> Iterator[None]:
    """While this holds, moto's EC2 is the lab's."""
    run, stop, start = InstanceBackend.run_instances, Instance.stop, Instance.start
    create, copy = AmiBackend.create_image, AmiBackend.copy_image

    def run_instances(backend: Any, *arguments: Any, **options: Any) -> Any:
        reservation = run(backend, *arguments, **options)
        if "launch_config" not in options:  # the API, not a group
            for instance in reservation.instances:
                ec2.boot(instance)
        return reservation

    def stopped(instance: Instance) -> Any:
        previous = type(instance._state)(instance.state, instance.state_code)
        ec2.shut_down(instance, lambda: stop(instance))
        return previous

    def started(instance: Instance) -> Any:
        if (machine := ec2.machine_of(instance.id)) and not machine.on:
            machine.power_on()
        return start(instance)

    def create_image(backend: Any, instance_id: str, name: str, description: str, tag_specifications: list[Any]) -> Ami:
        of_snapshot = [spec for spec in tag_specifications if spec["ResourceType"] == "snapshot"]
        others = [spec for spec in tag_specifications if spec["ResourceType"] != "snapshot"]
        ami = create(backend, instance_id, name, description, others)
        for spec in of_snapshot:
            ami.ebs_snapshot.add_tags({tag["Key"]: tag["Value"] for tag in spec["Tags"]})
        source = backend.get_instance(instance_id)
        if root := dict(source.get_block_device_mapping).get(source.root_device_name):
            ami.ebs_snapshot.encrypted = backend.get_volume(root.volume_id).encrypted
        ami.root_device_name, ami.root_device_type = source.root_device_name, "ebs"
        if machine := ec2.machine_of(instance_id):
            ec2.keep_disk(machine, ami)
        return ami

    def copy_image(backend: Any, source_image_id: str, source_region: str, name: Any = None, description: Any = None) -> Ami:
        ami = copy(backend, source_image_id, source_region, name, description)
        source = ec2_backends[backend.account_id][source_region].amis[source_image_id]
        for told in ("description", "root_device_name", "root_device_type", "imds_support"):
            setattr(ami, told, getattr(source, told, None))
        if source_image_id in ec2.layers:
            ec2.layers[ami.id] = ec2.layers[source_image_id]
        return ami

    def copied(response: Any) -> ActionResult:
        result = response_copy(response)
        ami = response.ec2_backend.amis[result.result["ImageId"]]
        if response._get_bool_param("Encrypted"):
            ami.ebs_snapshot.encrypted = True
            ami.ebs_snapshot.kms_key_id = response._get_param("KmsKeyId")
        return result

    def modified(response: Any) -> Any:
        if wanted := response._get_param("ImdsSupport", {}).get("Value"):
            response.ec2_backend.describe_images(ami_ids=[response._get_param("ImageId")])[0].imds_support = wanted
        return modify(response)

    def devices(ami: Ami) -> list[dict[str, Any]]:
        (device,) = told_devices(ami)
        device["Ebs"]["Encrypted"] = bool(ami.ebs_snapshot.encrypted)
        return [device]

    def deprecate(response: Any) -> ActionResult:
        ami = response.ec2_backend.describe_images(ami_ids=[response._get_param("ImageId")])[0]
        ami.deprecation_time = response._get_param("DeprecateAt")
        return ActionResult({"Return": True})

    response_copy, modify = EC2Response.copy_image, EC2Response.modify_image_attribute
    told_devices = vars(Ami)["block_device_mappings"].fget
    replaced: list[tuple[Any, str, Any]] = [
        (InstanceBackend, "run_instances", run_instances),
        (Instance, "stop", stopped),
        (Instance, "start", started),
        (AmiBackend, "create_image", create_image),
        (AmiBackend, "copy_image", copy_image),
        (EC2Response, "copy_image", copied),
        (EC2Response, "enable_image_deprecation", deprecate),
        (EC2Response, "modify_image_attribute", modified),
        (Ami, "block_device_mappings", property(devices)),
    ]
    with ExitStack() as stack:
        for owner, name, value in replaced:
            stack.enter_context(patch.object(owner, name, value, create=True))
        yield
