"""The stack by Terraform's real provider against the full lab's region: what a user waits for."""

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench.figures import Figure, Step
from tests.lab.errors import NotPossibleHere
from tests.lab.full.apply import Applied
from tests.lab.full.image import ensure
from tests.lab.full.region import FullRegion
from tests.lab.machines import CHECKOUT

FRESH = 240.0  # seconds


def stack(samples: int, step: Step) -> Iterator[Figure]:
    if subprocess.run([str(CHECKOUT / "tests/setup/lab")], check=False).returncode:
        print("SKIPPED: the figures of the stack, for the reason above", file=sys.stderr)
        return
    step("building the image, unless it is cached")
    golden = ensure(lambda line: None)
    taken: dict[str, list[float]] = {"apply": [], "serving": [], "plan": [], "destroy": []}
    resources = 0
    for _ in range(samples):
        step("terraform apply, plan and destroy")
        with FullRegion(golden) as region, tempfile.TemporaryDirectory() as folder:
            try:
                applied = Applied(region, Path(folder), "bench")
            except NotPossibleHere as error:
                print(f"SKIPPED: the figures of the stack: {error}", file=sys.stderr)
                return
            began = time.monotonic()
            applying = threading.Thread(target=timed, args=(taken["apply"], applied.apply))
            applying.start()
            region.wait_until(lambda: region.groups, "the group launches", FRESH)
            applied.group.wait_serving(3, FRESH)
            taken["serving"].append(time.monotonic() - began)
            applying.join()
            timed(taken["plan"], applied.plan)
            resources = len(applied.resources())
            timed(taken["destroy"], applied.destroyed)
    yield Figure("resources of examples/new-vpc", "", (float(resources),))
    for name, what in (
        ("serving", "terraform apply typed, to three serving and in service"),
        ("apply", "terraform apply, to its end (50 s of it wait for S3's lifecycle rules to settle, and hold nothing up)"),
        ("plan", "a second terraform plan, with nothing to change"),
        ("destroy", "terraform destroy, of an ensemble that serves"),
    ):
        yield Figure(what, "s", tuple(taken[name]))


def timed(taken: list[float], call: Callable[[], object]) -> None:
    began = time.monotonic()
    call()
    taken.append(time.monotonic() - began)
