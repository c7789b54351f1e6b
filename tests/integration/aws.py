"""One lab region for tests of the AWS side: a group of idle machines, and store, group and metadata as one of them sees them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from tests.lab.faults import Answer, Effect, Fault
from tests.lab.group import Group
from tests.lab.iam import Call
from tests.lab.machines import Machine
from tests.lab.region import BUCKET, REGION, Region
from zkboot.aws.group import AutoScaling, node_metadata
from zkboot.aws.imds import Imds
from zkboot.aws.s3 import S3Store
from zkboot.aws.session import clients
from zkboot.settings_keys import Aws, Settings

CLUSTER = "zk"
IDLE = ("/bin/sh", "-c", "exec sleep 600 </dev/null >/dev/null 2>&1")  # in place of zkboot


class Node(NamedTuple):
    """What zkboot works with on one machine of the region, under that machine's role."""

    region: Region
    group: Group
    machine: Machine
    settings: Settings
    store: S3Store
    metadata: Imds
    autoscaling: AutoScaling

    def client(self, service: str) -> Any:
        """The very client that the node uses."""
        return clients(self.settings.aws).client(service)

    def fault(self, effect: Effect, calls: str = "*", times: int = 0) -> Fault:
        return self.region.gateway.add(Fault(effect, (self.machine.instance_id,), calls, times))

    def calls(self, action: str) -> int:
        """How often this node made that call since the region began."""
        return self.region.calls(self.machine).get(action, 0)


@contextmanager
def node(size: int = 1, **aws: str) -> Iterator[Node]:
    """A region with a group of `size` idle machines, and the first of them. `aws` are more settings of that section."""
    with pytest.MonkeyPatch.context() as patch, Region() as region:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
            patch.delenv(name, raising=False)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            patch.setenv(name, "/dev/null")
        clients.cache_clear()  # regions follow each other on the same addresses, with other credentials
        group = region.group(size, name="zk", cluster=CLUSTER, command=IDLE, heartbeat_timeout=3600)
        region.wait_until(lambda: len(group.living) == size, "the group has launched its machines")
        yield node_of(region, group, group.living[0], aws)


def node_of(region: Region, group: Group, machine: Machine, aws: Mapping[str, str]) -> Node:
    settings = settings_of(region.endpoint, f"http://{machine.address}:1338", **aws)
    metadata = node_metadata(settings)
    return Node(region, group, machine, settings, S3Store(settings), metadata, AutoScaling(settings, metadata))


def settings_of(endpoint: str, metadata_endpoint: str, **aws: str) -> Settings:
    fields = {"bucket": BUCKET, "endpoint_url": endpoint, "metadata_endpoint": metadata_endpoint, **aws}
    found = Aws(**fields)
    return Settings(CLUSTER, found._replace(secret=f"/zkboot/{CLUSTER}/super", witness=f"/zkboot/{CLUSTER}/cluster-id"))


def cut_short(fault: Fault, call: Call, carry_out: Any) -> Answer:
    """The connection breaks in the middle of the answer's body."""
    answer: Answer = carry_out()
    headers = [(name, value) for name, value in answer.headers if name.lower() != "content-length"]
    return Answer(answer.status, [*headers, ("Content-Length", str(len(answer.body)))], answer.body[: len(answer.body) // 2])


def garbled(fault: Fault, call: Call, carry_out: Any) -> Answer:
    """A whole HTTP answer (of a proxy, say) that holds half of what AWS said."""
    answer: Answer = carry_out()
    body = answer.body[: len(answer.body) // 2]
    headers = [
        (name, value) for name, value in answer.headers if name.lower() != "content-length" and "checksum" not in name.lower()
    ]
    return Answer(answer.status, [*headers, ("Content-Length", str(len(body)))], body)


def in_pages_of(client: Any, operation: str, parameter: str, size: int) -> None:
    """Make every page of that call small from now on."""

    def shrink(params: dict[str, Any], **_: Any) -> None:
        params[parameter] = size

    service = client.meta.service_model.service_id.hyphenize()
    client.meta.events.register(f"provide-client-params.{service}.{operation}", shrink)


__all__ = ["BUCKET", "CLUSTER", "REGION", "Node", "cut_short", "garbled", "in_pages_of", "node", "node_of", "settings_of"]
