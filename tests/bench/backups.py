"""Backups: to the emulated S3 against `tar czf` to the local disk, read back against `sha256sum`, restored to a serving ensemble
against `tar xzf` and a raw start; what writers feel of one is in `felt`.

A backup's time is that of the whole command less the reading back, which is a figure of its own; the files are in the page cache
for both.
"""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.backup.bucket import prefix
from tests.bench import hand
from tests.bench.ensembles import wait_voting
from tests.bench.felt import felt
from tests.bench.figures import Figure, Step
from tests.bench.filled import MIB, SETTINGS, SIZES, data_of, files_of, fill, forget, marks, timed
from tests.bench.turns import use
from tests.lab.errors import LabError
from tests.lab.group import Group
from tests.lab.machines import Machine
from tests.lab.region import Region
from tests.scenarios.story import record


def backup(samples: int, step: Step) -> Iterator[Figure]:
    with Region() as region:
        zk = region.group(size=3, settings=SETTINGS)
        zk.wait_serving(3)
        for name, mib in SIZES:
            follower = zk.followers()[0]
            step(f"writing {name}")
            fill(zk, follower, mib * MIB)
            yield from copies(zk, follower, name, samples, step)
            if name == SIZES[-1][0]:
                yield from felt(zk, follower, samples, step)
            yield from restores(zk, name, samples, step)


def copies(zk: Group, machine: Machine, name: str, samples: int, step: Step) -> Iterator[Figure]:
    ours, memory, tar, read, sums = [], [], [], [], []
    for _ in range(samples):
        step(f"{name}: tar czf")
        tar.append(timed("tar", "czf", "{target}/x.tar.gz", "-C", str(data_of(machine).parent), *files_of(machine)))
        step(f"{name}: zkboot backup")
        forget(zk)
        used = use(machine, "-m", "zkboot", "backup")
        (verified,) = marks(zk, ".verified.json")
        ours.append(used.wall / 1000 - float(verified["seconds"]))
        memory.append(used.memory)
        step(f"{name}: sha256sum")
        size = sum((data_of(machine).parent / file).stat().st_size for file in files_of(machine))
        sums.append(size / MIB / timed("sha256sum", *(str(data_of(machine).parent / file) for file in files_of(machine))))
        (manifest,) = marks(zk, ".manifest.json")
        read.append(sum(file["size"] for file in manifest["files"]) / MIB / float(verified["seconds"]))
    yield Figure(f"backup of {name} to S3", "s", tuple(ours), tuple(tar), "tar czf to the local disk")
    yield Figure(f"peak memory of a backup of {name}", "MiB", tuple(memory))
    yield Figure(
        f"verify {name} from S3, files' bytes", "MiB/s", tuple(read), tuple(sums), "sha256sum of the files (higher is better)"
    )


def restores(zk: Group, name: str, samples: int, step: Step) -> Iterator[Figure]:
    """Of the backup that is there, into an ensemble that serves: from what a person types. By hand its archive is on the disk
    already, and no server has to be stopped first."""
    leads, serves, alone, together = [], [], [], []
    (key,) = [key for key in zk.region.objects(prefix(zk)) if key.endswith(".tar.gz")]
    with hand.servers(1) as [one], hand.servers(1, 2, 3) as three, tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "x.tar.gz"
        archive.write_bytes(zk.region.objects(key)[key])
        for _ in range(samples):
            step(f"{name}: tar xzf and one raw server")
            alone.append(restore_by_hand([one], archive))
            step(f"{name}: tar xzf and three raw servers")
            together.append(restore_by_hand(three, archive))
            step(f"{name}: zkboot restore")
            first, all_of_them = restore(zk)
            leads.append(first)
            serves.append(all_of_them)
    yield Figure(
        f"restore of {name} until its server leads", "s", tuple(leads), tuple(alone), "tar xzf of a local copy, a raw start"
    )
    what = f"restore of {name} until all three serve"
    yield Figure(what, "s", tuple(serves), tuple(together), "tar xzf of a local copy, three raw starts")


def restore(zk: Group) -> tuple[float, float]:
    """Seconds until the seed leads, and until all serve as voters."""
    machine, generation = zk.followers()[0], record(zk)["generation"]
    began = time.monotonic()
    typed = machine.start_zkboot("restore", "--replace-live", "--confirm", zk.plan.cluster)
    hand.wait_for(lambda: record(zk)["generation"] > generation and (answer := machine.answer()) and answer.mode == "leader")
    leads = time.monotonic() - began
    wait_voting(zk, 3)
    serves = time.monotonic() - began
    said, _ = typed.communicate(timeout=hand.DEADLINE)
    if typed.returncode:
        raise LabError(f"zkboot restore ended with {typed.returncode}: {said}")
    zk.wait_serving(3)
    return leads, serves


def restore_by_hand(servers: list[hand.Server], archive: Path) -> float:
    """The first of them holds the data."""
    for server in servers:
        server.kill()
        server.prepare([other.line() for other in servers])
    began = time.monotonic()
    subprocess.run(["tar", "xzf", str(archive), "-C", str(servers[0].folder / "data")], check=True)
    for server in servers:
        server.start()
    hand.wait_for(lambda: hand.all_serve([server.address for server in servers]))
    took = time.monotonic() - began
    for server in servers:
        server.kill()
    return took
