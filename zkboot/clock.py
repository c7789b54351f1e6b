"""The node's own clocks."""

import time

BOOT_ID = "/proc/sys/kernel/random/boot_id"


class NodeClock:
    """Clock of the machine (`zkboot.world.Clock`)."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def boot_id(self) -> str:
        with open(BOOT_ID, encoding="ascii") as file:
            return file.read().strip()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
