"""A server apart from all others, on a loopback port, that holds nothing but a backup's files: whether they can be started from.

It is alone, has no super user, and is gone in the end with its folder, whatever fails; what a zkboot that was killed has left is
removed by the next drill, and by each look whether one is due.
"""

import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from zkboot.backup.manifest import Manifest
from zkboot.backup.sizes import mib
from zkboot.errors import UnknownFact, ZkbootError
from zkboot.model import Mode
from zkboot.settings import Settings
from zkboot.zookeeper import configuration, files, fourletter, service, sizing

LOOPBACK = "127.0.0.1"
OF_A_TREE = 8  # bytes of heap for each byte of a snapshot or a log: small znodes take that much
BESIDE_THE_HEAP = 96 * sizing.MIB  # of memory: the JVM itself
BESIDE_THE_FILES = 128 * sizing.MIB  # of disk: a log that begins
LAST_WORDS = 5  # lines
PAUSE = 0.1  # seconds
# What a data directory may need in order to be read; nothing that opens a port, or speaks to others.
PASSED = ("extendedTypesEnabled", "snapshot.compression.method", "digest.enabled", "closeSessionTxn.enabled")
ZOO_CFG = """\
dataDir={data}
clientPort={port}
clientPortAddress={address}
tickTime=2000
admin.enableServer=false
4lw.commands.whitelist=srvr
preAllocSize=64
"""


class Scratch:
    """`folder` is its own, and is removed whole."""

    def __init__(self, settings: Settings, heap: int) -> None:
        self.folder = f"{settings.node.state_dir}/drill"
        self.data = f"{self.folder}/data"
        node = settings.node._replace(
            conf_dir=f"{self.folder}/conf",
            data_dir=self.data,
            data_log_dir=self.data,
            state_dir=self.folder,
            run_dir=f"{self.folder}/run",
            service="process",
        )
        defined = tuple(flag for flag in settings.zookeeper.jvm_flags if flag.startswith("-Dzookeeper."))
        flags = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *defined)
        zookeeper = settings.zookeeper._replace(heap=f"{heap // sizing.MIB}m", jvm_flags=flags)
        self._settings = settings._replace(node=node, zookeeper=zookeeper)
        self._service = service.Supervised(self._settings)

    def start(self) -> float:
        """Start it, and wait until it serves; the seconds that took. Raises ZkbootError with its last words when it ends instead,
        or takes too long."""
        began = time.monotonic()
        port = _free_port()
        with files.unknown_on_error():
            files.make_folder(self._settings.node.conf_dir)
            extra = {key: value for key, value in self._settings.zookeeper.extra.items() if key in PASSED}
            lines = (f"{key}={str(value).lower() if isinstance(value, bool) else value}\n" for key, value in extra.items())
            cfg = ZOO_CFG.format(data=self.data, port=port, address=LOOPBACK) + "".join(lines)
            files.write(configuration.zoo_cfg(self._settings.node.conf_dir), cfg)
            size = sum(entry.stat().st_size for entry in os.scandir(f"{self.data}/version-2"))
        self._service.start()
        deadline = began + self._settings.timing.start_limit + size / sizing.SLOWEST_TRANSFER
        endpoint = LOOPBACK, port
        while time.monotonic() < deadline:
            peer = fourletter.ask([endpoint], self._settings.timing.ask_timeout)[endpoint]
            if peer is not None and peer.mode is Mode.STANDALONE:
                return time.monotonic() - began
            if self._service.age() is None:
                raise ZkbootError(f"the scratch server ended while it started from the backup: {self._last_words()}")
            time.sleep(PAUSE)
        raise ZkbootError(f"the scratch server does not serve {deadline - began:.0f} s after its start: {self._last_words()}")

    def remove(self) -> None:
        """Stop it and remove all that is of it; nothing there is no error. Raises UnknownFact."""
        with files.unknown_on_error():
            if files.exists(self.folder):
                self._service.stop()
                shutil.rmtree(self.folder)

    def _last_words(self) -> str:
        with files.unknown_on_error():
            said = files.read_text(f"{self.folder}/zookeeper.log") or ""
        told = [
            line for line in said.splitlines() if "ERROR" in line or "Exception" in line or "Error" in line
        ] or said.splitlines()
        return " | ".join(told[-LAST_WORDS:]) or "it said nothing"


@contextmanager
def scratch(settings: Settings, manifest: Manifest) -> Iterator[Scratch]:
    """A scratch server's empty folder, with room for that backup; all of it is gone when the context ends.

    Raises UnknownFact where memory or disk are short now.
    """
    heap = heap_for(settings, manifest, sizing.memory_of_machine())
    found = Scratch(settings, heap)
    found.remove()
    expect_room(settings, manifest, heap)
    try:
        yield found
    finally:
        found.remove()


def heap_for(settings: Settings, manifest: Manifest, memory: int) -> int:
    """Bytes: what the backup's tree may take, and no more than the ensemble's own servers have, which hold it too."""
    most = sizing.bytes_of(settings.zookeeper.heap or sizing.heap(memory))
    packed = any(file.path.endswith((".gz", ".snappy")) for file in manifest.files)
    return most if packed else min(max(OF_A_TREE * manifest.bytes, sizing.SMALLEST_HEAP), most)


def expect_room(settings: Settings, manifest: Manifest, heap: int) -> None:
    """Raises UnknownFact."""
    with files.unknown_on_error():
        available, free = sizing.available_memory(), shutil.disk_usage(settings.node.state_dir).free
    if available < heap + BESIDE_THE_HEAP:
        raise UnknownFact(
            f"no drill here: the scratch server needs {mib(heap + BESIDE_THE_HEAP)} of memory, {mib(available)} are available;"
            f" try another node, or zkboot verify {manifest.name} without --drill"
        )
    needed = 2 * manifest.bytes + BESIDE_THE_FILES
    if free < needed:
        raise UnknownFact(
            f"no drill here: it needs {mib(needed)} of disk, {settings.node.state_dir} has {mib(free)} free;"
            f" try another node, or --set node.state_dir=... of a larger one"
        )


def _free_port() -> int:
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        return int(held.getsockname()[1])
