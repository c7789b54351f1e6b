"""The metadata service at its own address, one for all instances: it knows who asks by where the question comes from."""

from collections.abc import Callable

from tests.lab.full.network import METADATA
from tests.lab.imds import Server, Service, Tree
from tests.lab.region import Metadata


class Switchboard:
    """http://169.254.169.254 until closed."""

    def __init__(self) -> None:
        self.services: dict[str, Service] = {}  # by the asking instance's address
        self._server = Server(METADATA, 80, self.services.get)

    def connect(self, address: str, tree: Callable[[], Tree]) -> Service:
        service = self.services[address] = Told(self, address, tree)
        return service

    def close(self) -> None:
        self._server.close()


class Told(Service):
    def __init__(self, board: Switchboard, address: str, tree: Callable[[], Tree]) -> None:
        super().__init__(tree)
        self._board = board
        self._address = address

    def close(self) -> None:
        """The address may have a new owner already."""
        if self._board.services.get(self._address) is self:
            del self._board.services[self._address]


class InstanceMetadata(Metadata):
    """What cloud-init asks for beside what zkboot does."""

    def _assume(self) -> dict[str, str]:
        return super()._assume() if self.role else {}

    def __call__(self) -> Tree:
        instance = self.instance
        tree = super().__call__()
        if not self.role:
            tree = {name: value for name, value in tree.items() if "/iam/" not in name}
        hostname = instance.private_dns_name
        meta = {
            "ami-id": instance.image_id,
            "ami-launch-index": "0",
            "hostname": hostname,
            "local-hostname": hostname,
            "instance-action": "none",
            "services/domain": "amazonaws.com",
            "security-groups": "\n".join(group.name for group in instance.security_groups),
        }
        if instance.key_name:
            (key,) = instance.ec2_backend.describe_key_pairs([instance.key_name])
            meta |= {"public-keys": f"0={instance.key_name}", "public-keys/0/openssh-key": key.material_public.decode()}
        tree |= {f"/latest/meta-data/{name}": value for name, value in meta.items()}
        if instance.user_data:
            tree["/latest/user-data"] = instance.user_data.decode()
        return tree
