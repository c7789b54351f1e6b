"""The story of a region: what happened to its instances, and what each of its nodes said, in the order of time."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from tests.lab.machines import LOGS, Machine
from tests.lab.region import Region

SAID = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) (.*)")  # by zkboot
DONE = re.compile(r"(\d\d:\d\d:\d\d\.\d+) (?!recover ended with \d)(.*)")  # to the machine, today
REST = 300  # characters of a sentence that are told


class Told(NamedTuple):
    instant: float  # Unix time; zkboot's in whole seconds
    who: str
    text: str


def told(region: Region, since: float) -> str:
    """A line each; what one repeats, once. `since` is a Unix time."""
    found = [Told(region.began + seconds, "the region", text) for seconds, text in region.story]
    for machine in region.machines.values():
        found += said_by(machine)
    lines: list[str] = []
    before: dict[str, str] = {}
    for one in sorted(found):
        if one.instant >= int(since) and before.get(one.who) != one.text:
            lines.append(f"  {datetime.fromtimestamp(one.instant, UTC):%H:%M:%S} {one.who:>19}: {one.text[:REST]}")
        before[one.who] = one.text
    return "\n".join(lines)


def said_by(machine: Machine) -> Iterator[Told]:
    for name in LOGS:
        path = machine.root / name
        for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
            if match := SAID.match(line):
                yield Told(datetime.fromisoformat(match[1]).timestamp(), machine.instance_id, match[2])
            elif match := DONE.match(line):
                clock = datetime.strptime(match[1], "%H:%M:%S.%f").time()
                yield Told(datetime.combine(datetime.now(UTC), clock, UTC).timestamp(), machine.instance_id, f"({match[2]})")
