"""Figures that follow from the machine and from the data: the server's heap, and how long a follower may take to load."""

import math

MIB = 1024 * 1024
SMALLEST_HEAP = 128 * MIB
LARGEST_HEAP = 8192 * MIB
HEAP_STEP = 64 * MIB

BASE_TICKS = 10
SLOWEST_TRANSFER = 10 * MIB  # bytes each second, from the leader's tree to a snapshot on the follower's disk


def heap(memory: int) -> str:
    """The value of -Xmx for a machine with that much memory in bytes: half of it, in steps of 64 MiB, 128 MiB to 8 GiB.

    ZooKeeper holds the whole tree in the heap; the other half is for the JVM itself, zkboot and the page cache that writes the
    logs. Above 8 GiB a collection's pause comes near a session's timeout: who has that much data sets the heap.
    """
    half = memory // 2 // HEAP_STEP * HEAP_STEP
    return f"{min(max(half, SMALLEST_HEAP), LARGEST_HEAP) // MIB}m"


def init_limit(snapshot: int, tick_time: int) -> int:
    """initLimit in ticks of `tick_time` ms: ZooKeeper's usual ten, and what a snapshot of that many bytes takes at 10 MiB/s."""
    return BASE_TICKS + math.ceil(snapshot * 1000 / (SLOWEST_TRANSFER * tick_time))


def memory_of_machine() -> int:
    """Bytes, of /proc/meminfo. Raises OSError."""
    return _meminfo("MemTotal")


def available_memory() -> int:
    """Bytes that could be taken without swapping, of /proc/meminfo. Raises OSError."""
    return _meminfo("MemAvailable")


def bytes_of(heap: str) -> int:
    """Of a value of -Xmx such as "512m" or "2g"."""
    return int(heap[:-1]) * MIB * (1024 if heap[-1] in "gG" else 1)


def _meminfo(name: str) -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        line = next(line for line in file if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024
