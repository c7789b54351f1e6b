"""What a region's machines are wired with: loopback, or (root) a network namespace each, which can be partitioned."""

import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from tests.lab.errors import NotPossibleHere

CLONE_NEWNET = 0x40000000  # unshare(2)
NOBODY = "02:00:00:00:00:01"  # a hardware address that no interface has: what is sent there is lost in silence
IMDS_PORT = 1338


class Network(Protocol):
    """`prefixes()` yields the first two bytes of address ranges to try, after whatever must be set up."""

    def prefixes(self) -> Iterator[str]: ...

    def close(self) -> None: ...

    def folder(self, prefix: str) -> str:
        """The name of the region's folder."""

    def metadata(self, address: str) -> tuple[str, int]:
        """Host and port for the metadata service of the machine with that address (port 0: any)."""

    def boot(self, command: Sequence[str]) -> list[str]:
        """The command that runs a machine's init so that `plug` can wire it."""

    def plug(self, init: "subprocess.Popen[bytes]", address: str) -> None: ...

    def typed(self, init: int, command: Sequence[str]) -> list[str]:
        """The command as run on that machine."""

    def cut(self, init: int, others: Sequence[str]) -> None:
        """That machine's packets to the others' addresses are lost."""

    def mend(self, init: int, others: Sequence[str]) -> None: ...


class Loopback:
    """127.77.0.0/16 and up; each living region has one of its own. No root.

    Cannot be partitioned: on loopback, who connects does so from 127.0.0.1.
    """

    CANDIDATES = range(77, 127)

    def prefixes(self) -> Iterator[str]:
        busy = listening()
        yield from (f"127.{second}" for second in self.CANDIDATES if second not in busy)

    def close(self) -> None:
        """Nothing was set up."""

    def folder(self, prefix: str) -> str:
        return prefix

    def metadata(self, address: str) -> tuple[str, int]:
        return address, IMDS_PORT

    def boot(self, command: Sequence[str]) -> list[str]:
        return list(command)

    def plug(self, init: "subprocess.Popen[bytes]", address: str) -> None:
        """Loopback is there."""

    def typed(self, init: int, command: Sequence[str]) -> list[str]:
        return list(command)

    def cut(self, init: int, others: Sequence[str]) -> None:
        raise NotPossibleHere("machines on loopback cannot be partitioned: Region(Namespaces()), as root")

    mend = cut


class Namespaces:
    """10.77.0.0/16 in a namespace of the region's own: this thread enters it, and those that it starts from then on.

    Each machine has a namespace too, a veth pair to the region's bridge, and nothing of it outlives its processes.
    """

    PREFIX = "10.77"

    def __init__(self) -> None:
        self._outside = -1

    def prefixes(self) -> Iterator[str]:
        self._outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET):
            raise NotPossibleHere(f"a network namespace needs root: unshare(2) says {os.strerror(ctypes.get_errno())}")
        ip("link set lo up", "link add lab type bridge", f"address add {self.PREFIX}.0.2/16 dev lab", "link set lab up")
        yield self.PREFIX

    def close(self) -> None:
        if self._outside >= 0:
            ctypes.CDLL(None).setns(self._outside, CLONE_NEWNET)
            os.close(self._outside)

    def folder(self, prefix: str) -> str:
        return f"{prefix}-{os.getpid()}"

    def metadata(self, address: str) -> tuple[str, int]:
        return f"{self.PREFIX}.0.2", 0

    def boot(self, command: Sequence[str]) -> list[str]:
        return ["unshare", "--net", "sh", "-c", 'read -r plugged && exec "$@"', "machine", *command]

    def plug(self, init: "subprocess.Popen[bytes]", address: str) -> None:
        assert init.stdin is not None
        while os.readlink(f"/proc/{init.pid}/ns/net") == os.readlink("/proc/thread-self/ns/net"):
            os.sched_yield()
        self.wire(init.pid, address)
        init.stdin.write(b"\n")
        init.stdin.flush()

    def wire(self, init: int, address: str) -> None:
        """The two ends of a machine's cable."""
        ip(f"link add m{init} type veth peer name eth0 netns {init}", f"link set m{init} master lab up")
        ip("link set lo up", f"address add {address}/16 dev eth0", "link set eth0 up", prefix=self.typed(init, ()))

    def typed(self, init: int, command: Sequence[str]) -> list[str]:
        return ["nsenter", f"--net=/proc/{init}/ns/net", *command]

    def cut(self, init: int, others: Sequence[str]) -> None:
        ip(*(f"neigh replace {other} lladdr {NOBODY} dev eth0 nud permanent" for other in others), prefix=self.typed(init, ()))

    def mend(self, init: int, others: Sequence[str]) -> None:
        ip(*(f"neigh del {other} dev eth0" for other in others), prefix=self.typed(init, ()))


def ip(*commands: str, prefix: Sequence[str] = ()) -> None:
    """Several `ip` commands in one process. Raises NotPossibleHere with what ip(8) says."""
    try:
        done = subprocess.run(
            [*prefix, "ip", "-batch", "-"], input="\n".join(commands), capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise NotPossibleHere("network namespaces need iproute2 and util-linux (ip, nsenter, unshare)") from None
    if done.returncode:
        raise NotPossibleHere(f"ip {'; '.join(commands)}: {done.stderr.strip()}")


def listening() -> set[int]:
    """Second bytes of the loopback addresses that somebody listens on (proc(5), /proc/net/tcp: state 0A)."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:] if os.path.exists(table) else []:
            _, local, _, state, *_ = line.split()
            address = socket.inet_ntoa(bytes.fromhex(local.partition(":")[0][-8:])[::-1])
            if state == "0A" and address.startswith("127."):
                found.add(int(address.split(".")[1]))
    return found
