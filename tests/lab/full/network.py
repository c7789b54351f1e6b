"""The region's bridge as instances see it: their gateway, and behind it the metadata service."""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.lab.network import CLONE_NEWNET, Namespaces, ip

METADATA = "169.254.169.254"


class Bridge(Namespaces):
    """10.77.0.0/16 as ever, and 169.254.169.254. An instance keeps its hardware address for life."""

    def __init__(self) -> None:
        super().__init__()
        self.hardware: dict[str, str] = {}  # address -> hardware address

    def prefixes(self) -> Iterator[str]:
        for prefix in super().prefixes():
            ip(f"address add {METADATA}/32 dev lab")
            yield prefix

    def metadata(self, address: str) -> tuple[str, int]:
        return METADATA, 80

    def boot(self, command: Sequence[str]) -> list[str]:
        """In a mount namespace of its own too."""
        unshare, *rest = super().boot(command)
        return [unshare, "--mount", "--propagation", "private", *rest]

    def wire(self, init: int, address: str) -> None:
        """The two ends of an instance's cable."""
        ip(f"link add m{init} type veth peer name eth0 address {self.hardware[address]} netns {init}")
        ip(f"link set m{init} master lab up")
        inside = ["link set lo up", f"address add {address}/16 dev eth0", "link set eth0 up"]
        ip(*inside, f"route add default via {self.PREFIX}.0.2", prefix=self.typed(init, ()))

    @contextmanager
    def outside(self) -> Iterator[None]:
        """This thread in the network that the lab was started in, for a while."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net", "rb") as inside:
            libc.setns(self._outside, CLONE_NEWNET)
            try:
                yield
            finally:
                libc.setns(inside.fileno(), CLONE_NEWNET)
