"""One emulated AWS region with its machines, in this Python process.

with Region() as region:
    zk = region.group(size=3)
    zk.wait_serving(3)
    zk.leader().kill_server()
    zk.scale(5)
    zk.wait_serving(5)
"""

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from string import Template
from types import TracebackType
from typing import Any

from moto.autoscaling.models import FakeAutoScalingGroup, autoscaling_backends
from moto.core.base_backend import BackendDict
from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import Instance
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends
from moto.sts.models import sts_backends

from tests.lab import autoscaling, faults, processes
from tests.lab.autoscaling_calls import steered
from tests.lab.corrections import corrected
from tests.lab.errors import LabError, NotReached
from tests.lab.faults import Fault
from tests.lab.gateway import Gateway
from tests.lab.group import BUCKET, DEADLINE, Group, GroupPlan
from tests.lab.iam import ACCOUNT, ADMIN_KEY, ADMIN_SECRET, PARTITION
from tests.lab.imds import Imds, Service, Tree
from tests.lab.machines import CHECKOUT, Machine, Site
from tests.lab.network import Loopback, Network
from tests.lab.settings import settings

REGION = "eu-west-1"
ZONES = ("a", "b", "c")
AWS_PORT = 4566
LAB = CHECKOUT / ".lab"
POLICY = CHECKOUT / "terraform/policies/node.json.tftpl"
CREDENTIAL_SECONDS = 6 * 3600
STORY_LINES = 12


class Region:
    """Entered once, alone in its process (moto's state is the process's). Leaving ends exactly what it started.

    `path` holds the machines' roots; it is removed at the end, but kept after a failure, whose message names it.
    """

    def __init__(self, network: Network | None = None) -> None:
        self.network = network or Loopback()
        self.machines: dict[str, Machine] = {}  # by instance id, the terminated too
        self.groups: dict[str, Group] = {}
        self.story: list[tuple[float, str]] = []  # (seconds since the beginning, sentence)
        self._imds: dict[str, Service] = {}
        self.began = time.time()
        self._began = time.monotonic()
        self._stack = ExitStack()
        self._keep = False  # the machines' folders, for whoever looks into a failure
        self._vpcs: dict[str, list[str]] = {}  # AWS region -> its subnets, one a zone

    # Beginning and end

    def __enter__(self) -> "Region":
        LAB.mkdir(exist_ok=True)
        (LAB / ".gitignore").write_text("*\n")
        sweep()
        BackendDict.reset()
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def _open(self) -> None:
        self._stack.callback(self.network.close)
        self._prefix, self.gateway = first_free(self.network, self._control)
        self._stack.callback(self.gateway.close)
        self.path = LAB / self.network.folder(self._prefix)
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir()
        self._stack.callback(self._put_away)
        self.endpoint = self.gateway.url
        self.autoscaling = autoscaling.AutoScaling(ACCOUNT, self._power_on, self._power_off, self.tell)
        self._stack.enter_context(steered(self.autoscaling))
        self._stack.enter_context(corrected())
        self._stack.callback(self._switch_off)
        self._stack.callback(self.autoscaling.close)
        s3 = s3_backends[ACCOUNT][PARTITION]
        s3.create_bucket(BUCKET, REGION)
        s3.put_bucket_versioning(BUCKET, "Enabled")
        self.autoscaling.start()
        self._write_state()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._keep = error is not None and kind is not KeyboardInterrupt
        self._stack.close()
        if self._keep and error is not None:
            error.add_note(f"the lab's machines are kept in {self.path.relative_to(CHECKOUT)} until the next run")

    def _put_away(self) -> None:
        """While the gateway's address still reserves the folder's name."""
        if self._keep:
            (self.path / "region.json").unlink(missing_ok=True)
        else:
            shutil.rmtree(self.path, ignore_errors=True)

    def _switch_off(self) -> None:
        cutting = [threading.Thread(target=machine.power_cut) for machine in self.machines.values()]
        for thread in cutting:
            thread.start()
        for thread in cutting:
            thread.join()
        for imds in self._imds.values():
            imds.close()
        for machine in self.machines.values():
            machine.release_mount()

    def _write_state(self) -> None:
        """For `python -m tests.lab` in another terminal."""
        state = {"endpoint": self.endpoint, "region": REGION, "pid": os.getpid(), "bucket": BUCKET}
        part = self.path / "region.json.part"  # others read it at any moment
        part.write_text(json.dumps(state))
        part.rename(self.path / "region.json")

    # Groups and machines

    def group(self, size: int, name: str = "zk", cluster: str = "", **options: Any) -> Group:
        """Create an Auto Scaling group, and let it launch. Options are GroupPlan's fields."""
        plan = GroupPlan(name=name, cluster=cluster or name, **options)
        role = self._role(plan)
        ec2 = ec2_backends[ACCOUNT][plan.aws_region]
        template = ec2.create_launch_template(plan.key, "", self._launch_template(plan, role), {})
        group = self.groups[plan.key] = Group(self, plan)
        backend = autoscaling_backends[ACCOUNT][plan.aws_region]
        backend.create_auto_scaling_group(
            name=name,
            availability_zones=[],
            desired_capacity=0,
            max_size=plan.max_size,
            min_size=0,
            launch_config_name="",
            launch_template={"LaunchTemplateId": template.id, "Version": "$Latest"},
            vpc_zone_identifier=",".join(self._subnets(plan.aws_region)),
            default_cooldown=None,
            health_check_period=None,
            health_check_type="EC2",
            load_balancers=[],
            target_group_arns=[],
            placement_group="",
            termination_policies=[],
            tags=[],
        )
        if plan.hooks:
            backend.create_lifecycle_hook("zkboot-launch", name, autoscaling.LAUNCHING, plan.heartbeat_timeout, "ABANDON")
            backend.create_lifecycle_hook("zkboot-terminate", name, autoscaling.TERMINATING, plan.heartbeat_timeout, "CONTINUE")
        group.scale(size)
        return group

    def _launch_template(self, plan: GroupPlan, role: str) -> dict[str, Any]:
        return {"ImageId": "ami-00000000", "InstanceType": "m7g.large", "IamInstanceProfile": {"Name": role}}

    def _role(self, plan: GroupPlan) -> str:
        """The role of the group's instances, with the very policy that Terraform attaches."""
        iam = iam_backends[ACCOUNT][PARTITION]
        name = f"zkboot-{plan.key}"
        trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
        iam.create_role(name, json.dumps({"Version": "2012-10-17", **trust}), "/", None, "", [], None)
        words = {
            "partition": PARTITION,
            "account": ACCOUNT,
            "region": plan.aws_region,
            "bucket": plan.bucket,
            "cluster": plan.cluster,
            "group": plan.name,
            "backups": f"backups/{plan.cluster}/",
        }
        iam.put_role_policy(name, "node", Template(POLICY.read_text()).substitute(words))
        iam.create_instance_profile(name, "/", [name])
        return name

    def _subnets(self, aws_region: str) -> list[str]:
        """A VPC with a subnet in each of three zones, made at the first use."""
        if aws_region not in self._vpcs:
            ec2 = ec2_backends[ACCOUNT][aws_region]
            first = 10 * len(self._vpcs) + 1
            vpc = ec2.create_vpc(f"{self._prefix}.0.0/16")
            cidrs = [f"{self._prefix}.{first + index}.0/24" for index in range(len(ZONES))]
            self._vpcs[aws_region] = [
                ec2.create_subnet(vpc.id, cidr, availability_zone=aws_region + zone).id
                for cidr, zone in zip(cidrs, ZONES, strict=True)
            ]
        return self._vpcs[aws_region]

    def _power_on(self, instance: Instance, asg: FakeAutoScalingGroup) -> None:
        group = self.group_of(asg)
        machine = self.machines[instance.id] = group.machines[instance.id] = self._machine(instance, group)
        machine.power_on()

    def _machine(self, instance: Instance, group: Group) -> Machine:
        """What a launch makes, still off."""
        plan = group.plan
        root = self.path / instance.id
        imds = Imds(*self.network.metadata(instance.private_ip), Metadata(self.autoscaling, instance, f"zkboot-{plan.key}"))
        self._imds[instance.id] = imds
        aws = {"bucket": plan.bucket, "region": plan.aws_region, "endpoint_url": self.endpoint, "metadata_endpoint": imds.url}
        tables = settings(plan.cluster, aws, root, plan.settings)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(root / "home"),
            "LANG": "C.UTF-8",
            "ZKBOOT_CONFIG": str(root / "etc/zkboot.toml"),
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url,
            "ZKBOOT_LAB_REGION": str(os.getpid()),
            "ZKBOOT_LAB_ADDRESS": instance.private_ip,
            **plan.environment(len(group.machines)),
        }
        site = Site(
            instance_id=instance.id,
            address=instance.private_ip,
            zone=instance.availability_zone,
            root=root,
            network=self.network,
            command=plan.command,
            settings=tables,
            environment=environment,
            recover_interval=tables["timing"]["recover_interval"],
            backups=plan.backups,
        )
        return Machine(site)

    def _power_off(self, instance: Instance) -> None:
        machine = self.machines[instance.id]
        machine.shut_down()
        self._imds.pop(instance.id).close()
        machine.discard_disks()

    def group_of(self, asg: FakeAutoScalingGroup) -> Group:
        return next(group for group in self.groups.values() if (group.plan.name, group.plan.aws_region) == (asg.name, asg.region))

    def machine(self, instance_id: str) -> Machine:
        """By its instance id, or a beginning of it that is unique."""
        found = [machine for key, machine in self.machines.items() if key.startswith(instance_id)]
        if len(found) != 1:
            problem = "more than one machine" if found else "no such machine"
            raise LabError(f"{instance_id}: {problem}; there are {', '.join(self.machines)}")
        return found[0]

    # What happens to instances

    def terminate(self, machine: Machine) -> None:
        """EC2 TerminateInstances, behind the group's back: no hook is asked before."""
        self._instance(machine).terminate()

    def lose(self, machine: Machine) -> None:
        """Its host burns: the power is gone at once, then EC2 says `terminated`."""
        machine.power_cut()
        self.terminate(machine)

    def take(self, machine: Machine) -> None:
        """TerminateInstanceInAutoScalingGroup: its termination hook is waited for, and it is replaced."""
        self.autoscaling.take(machine.instance_id, False)

    def forget(self, machine: Machine) -> None:
        """EC2 no longer knows a terminated instance, as about an hour after its end."""
        instance = self._instance(machine)
        for reservation in instance.ec2_backend.reservations.values():
            if instance in reservation.instances:
                reservation.instances.remove(instance)

    def ec2_state(self, machine: Machine) -> str:
        return str(self._instance(machine).state)

    def lifecycle(self, machine: Machine) -> str:
        """The group's word for it, "" outside."""
        state = self.autoscaling.state_of(machine.instance_id)
        return state.lifecycle_state if state else ""

    def _instance(self, machine: Machine) -> Instance:
        for group in self.groups.values():
            if machine.instance_id in group.machines:
                return ec2_backends[ACCOUNT][group.plan.aws_region].get_instance(machine.instance_id)
        raise LabError(f"{machine} is of no group")

    @contextmanager
    def partition(self, side: Iterable[Machine], other: Iterable[Machine]) -> Iterator[None]:
        """While this holds, no packet passes between the two sides; AWS and clients reach both. Needs Region(Namespaces())."""
        pairs = [(a, b) for a in side for b in other]
        pairs += [(b, a) for a, b in pairs]
        for machine, unreachable in pairs:
            machine.lose_packets_to(unreachable)
        try:
            yield
        finally:
            for machine, unreachable in pairs:
                machine.reach_again(unreachable)

    # Faults of AWS. Each lasts until its end() or the end of its `with`.

    def aws_outage(self, *machines: Machine) -> Fault:
        """Connections to AWS end at once, for these machines (for all when none is named)."""
        return self._fault(faults.refuse, machines)

    def aws_silence(self, *machines: Machine) -> Fault:
        """AWS does not answer: the client's timeouts have to end it."""
        return self._fault(faults.hang, machines)

    def aws_unavailable(self, *machines: Machine, calls: str = "*") -> Fault:
        return self._fault(faults.unavailable, machines, calls)

    def slow(self, ending: str) -> Fault:
        """Objects whose key ends so arrive slowly: at an eighth of a MiB a second."""
        return self.gateway.add(Fault(faults.slow, (), "s3:GetObject", 0, lambda environ: environ["PATH_INFO"].endswith(ending)))

    def throttle(self, *machines: Machine, calls: str = "*", times: int = 0) -> Fault:
        return self._fault(faults.throttle, machines, calls, times)

    def deny(self, calls: str, *machines: Machine) -> Fault:
        """AccessDenied for `calls` ("s3:PutObject", "ssm:*")."""
        return self._fault(faults.deny, machines, calls)

    def lose_answer(self, calls: str, *machines: Machine, times: int = 1) -> Fault:
        """The next such call is carried out, and its answer lost."""
        return self._fault(faults.lose_answer, machines, calls, times)

    def conflict409(self, *machines: Machine, times: int = 1) -> Fault:
        """S3 answers the next conditional write with ConditionalRequestConflict."""
        fault = Fault(faults.conflict, tuple(m.instance_id for m in machines), "s3:PutObject", times, faults.is_conditional)
        return self.gateway.add(fault)

    def unlisted(self, machine: Machine, *askers: Machine) -> Fault:
        """DescribeInstances does not have that machine's instance yet, for these."""
        return self._fault(faults.leaving_out(machine.instance_id), askers, "ec2:DescribeInstances")

    def no_capacity(self, *zones: str) -> None:
        """Launches in these zones ("a") fail from now on; without a zone, none does."""
        self.autoscaling.full_zones = {REGION + zone for zone in zones}
        self.autoscaling.poke()

    def metadata_outage(self, machine: Machine) -> None:
        self._imds[machine.instance_id].down = True

    def metadata_back(self, machine: Machine) -> None:
        self._imds[machine.instance_id].down = False

    def _fault(self, effect: faults.Effect, machines: Iterable[Machine], calls: str = "*", times: int = 0) -> Fault:
        return self.gateway.add(Fault(effect, tuple(machine.instance_id for machine in machines), calls, times))

    # Looking

    def calls(self, machine: Machine) -> dict[str, int]:
        """How often this machine called which AWS operation."""
        return {action: count for (who, action), count in self.gateway.calls.items() if who == machine.instance_id}

    def metadata_calls(self, machine: Machine) -> dict[str, int]:
        return dict(self._imds[machine.instance_id].calls)

    def client(self, service: str, aws_region: str = REGION) -> Any:
        """A boto3 client of the region's own administration."""
        import boto3

        return boto3.client(
            service,
            region_name=aws_region,
            endpoint_url=self.endpoint,
            aws_access_key_id=ADMIN_KEY,
            aws_secret_access_key=ADMIN_SECRET,
        )

    def objects(self, prefix: str = "", bucket: str = BUCKET) -> dict[str, bytes]:
        """The bucket's present objects by key."""
        keys = s3_backends[ACCOUNT][PARTITION].get_bucket(bucket).keys
        return {name: key.value for name, key in sorted(keys.items()) if name.startswith(prefix) and hasattr(key, "value")}

    def tell(self, sentence: str) -> None:
        self.story.append((time.monotonic() - self._began, sentence))

    def wait_until(self, condition: Callable[[], object], what: str, deadline: float = DEADLINE) -> Any:
        """The condition's first true value. Raises NotReached after `deadline` seconds, with each machine's last sentences."""
        until = time.monotonic() + deadline
        while not (value := condition()):
            if time.monotonic() > until:
                raise NotReached(f"not within {deadline:g} s: {what}\n{self.last_words()}")
            time.sleep(0.1)
        return value

    def last_words(self) -> str:
        living = [machine for machine in self.machines.values() if self.ec2_state(machine) != "terminated"]
        story = "\n".join(f"  {seconds:7.2f} {sentence}" for seconds, sentence in self.story[-STORY_LINES:])
        return "\n".join(["the region:", story, *(machine.last_words() for machine in living)])

    def _control(self, command: str, arguments: Mapping[str, Any]) -> Any:
        from tests.lab.control import obey

        return obey(self, command, arguments)


class Metadata:
    """What the metadata service tells one instance, now (EC2 User Guide, "Instance metadata categories")."""

    def __init__(self, controller: autoscaling.AutoScaling, instance: Instance, role: str) -> None:
        self.controller = controller
        self.instance = instance
        self.role = role
        self.address: str = instance.private_ip
        self.vpc: str = instance.vpc_id
        self.credentials = self._assume()

    def __call__(self) -> Tree:
        instance, zone = self.instance, self.instance.availability_zone
        mac = self.instance.nics[0].mac_address
        document = {
            "accountId": ACCOUNT,
            "availabilityZone": zone,
            "imageId": instance.image_id,
            "instanceId": instance.id,
            "instanceType": instance.instance_type,
            "privateIp": self.address,
            "region": instance.region_name,
            "version": "2017-09-30",
        }
        meta = {
            "instance-id": instance.id,
            "instance-type": instance.instance_type,
            "local-ipv4": self.address,
            "mac": mac,
            "placement/availability-zone": zone,
            "placement/region": instance.region_name,
            f"network/interfaces/macs/{mac}/vpc-id": self.vpc,
            f"network/interfaces/macs/{mac}/local-ipv4s": self.address,
            f"iam/security-credentials/{self.role}": json.dumps(self.credentials),
            **{f"tags/instance/{tag['key']}": tag["value"] for tag in instance.get_tags()},
        }
        if target := self._target():
            meta["autoscaling/target-lifecycle-state"] = target
        tree = {f"/latest/meta-data/{name}": value for name, value in meta.items()}
        return tree | {"/latest/dynamic/instance-identity/document": json.dumps(document)}

    def _target(self) -> str:
        """Where the group wants this instance; "" (not found) outside a group."""
        state = self.controller.state_of(self.instance.id)
        if state is None:
            return ""
        return "Terminated" if state.lifecycle_state.startswith("Terminating") else "InService"

    def _assume(self) -> dict[str, str]:
        arn = f"arn:{PARTITION}:iam::{ACCOUNT}:role/{self.role}"
        role = sts_backends[ACCOUNT][PARTITION].assume_role(
            region_name=self.instance.region_name,
            role_session_name=self.instance.id,
            role_arn=arn,
            policy="",
            duration=CREDENTIAL_SECONDS,
            external_id="",
        )
        return {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "AccessKeyId": role.access_key_id,
            "SecretAccessKey": role.secret_access_key,
            "Token": role.session_token,
            "LastUpdated": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + CREDENTIAL_SECONDS)),
        }


def first_free(network: Network, control: Callable[[str, Mapping[str, Any]], Any]) -> tuple[str, Gateway]:
    """The first address range where nothing listens, and the gateway that holds it."""
    for prefix in network.prefixes():
        try:
            return prefix, Gateway(f"{prefix}.0.2", AWS_PORT, control)
        except (OSError, SystemExit):  # werkzeug exits when another was faster
            continue
    raise LabError("every address range of the lab is in use: which regions still run? (.lab/)")


def sweep() -> None:
    """End what regions left behind that were killed with their machines' inits: it carries our mark and its region is gone.

    Their folders go too, but those on loopback, whose name the next region there takes over.
    """
    for pid in processes.every():
        owner = processes.variable(pid, "ZKBOOT_LAB_REGION")
        root = processes.variable(pid, processes.MARK)
        if owner and root.startswith(str(LAB)) and not processes.alive(int(owner)):
            processes.send([pid], signal.SIGKILL)
    for folder in LAB.glob("10.77-*"):
        if not processes.alive(int(folder.name.partition("-")[2])):
            shutil.rmtree(folder, ignore_errors=True)
