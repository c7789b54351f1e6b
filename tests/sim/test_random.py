"""Random schedules; a file of their own, so that another worker has the simulation's other tests."""

import os
import time

from tests.sim import soak

SCHEDULES = 20_000


def test_random_schedules_end_well() -> None:
    failed: dict[int, str] = {}
    began = time.monotonic()
    for part in soak.parts(0, SCHEDULES, os.cpu_count() or 1):
        failed |= part.failed
    print(f"{SCHEDULES:,} schedules, {SCHEDULES / (time.monotonic() - began):,.0f} a second")
    assert not failed, "\n".join(f"seed {seed}: {text}; {soak.REPLAYED.format(seed=seed)}" for seed, text in failed.items())
