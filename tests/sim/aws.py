"""Simulated AWS: one bucket with secrets, EC2 and one Auto Scaling group. The truth only; who may reach it, and what gets lost on
the way, is the node's link (`node.py`).

S3: strongly consistent compare-and-set by ETag, Date and LastModified in whole seconds. EC2: a new instance may be unknown for a
while, a terminated one is still told for a while and then unknown. The group: launch and termination hooks with wait states that
never time out here, one replacement for each instance missing. Simplified: no zones but the round robin of three, no warm pools.
"""

import hashlib
import math
from collections.abc import Callable

from zkboot.errors import Stale
from zkboot.model import Group, Instance
from zkboot.world import Listed, Stored

KNOWN_AFTER_DEATH = 120.0


class Bucket:
    """Objects and secrets. `wrote(key, body)` is called after each write that happened."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._objects: dict[str, tuple[bytes, str, float]] = {}
        self._listed: dict[str, tuple[Listed, ...]] = {}  # by prefix, as long as nothing is written
        self._secrets: dict[str, str] = {}
        self.wrote: Callable[[str, bytes], None] = lambda key, body: None

    def get(self, key: str) -> Stored | None:
        found = self._objects.get(key)
        return Stored(found[0], found[1], found[2], float(int(self._now()))) if found else None

    def put(self, key: str, body: bytes, match: str | None) -> str:
        found = self._objects.get(key)
        if (found[1] if found else None) != match:
            raise Stale(f"{key}: precondition failed")
        etag = f'"{hashlib.md5(body).hexdigest()}"'
        self._objects[key] = (body, etag, float(math.floor(self._now())))
        self._listed.clear()
        self.wrote(key, body)
        return etag

    def list(self, prefix: str) -> tuple[Listed, ...]:
        found = self._listed.get(prefix)
        if found is None:
            found = tuple(Listed(k, e, m) for k, (_, e, m) in sorted(self._objects.items()) if k.startswith(prefix))
            self._listed[prefix] = found
        return found

    def forget(self, key: str) -> None:
        """Deleted by an administrator."""
        del self._objects[key]
        self._listed.clear()

    def secret(self, name: str) -> str | None:
        return self._secrets.get(name)

    def create_secret(self, name: str, value: str) -> bool:
        if name in self._secrets:
            return False
        self._secrets[name] = value
        return True


class Machine:
    """What EC2 and the group know of one instance."""

    def __init__(self, instance_id: str, address: str, zone: str, known_at: float) -> None:
        self.id, self.address, self.zone = instance_id, address, zone
        self.known_at = known_at
        self.state = "pending"
        self.lifecycle = "Pending"
        self.ended = math.inf
        self._told: Instance | None = None  # what was told last

    def instance(self) -> Instance:
        told = self._told
        if told is None or told.state != self.state or told.lifecycle != self.lifecycle:
            told = self._told = Instance(self.id, self.address, self.zone, self.state, self.lifecycle)
        return told

    def told(self, at: float) -> Instance | None:
        """What EC2 tells of it when its answer is as of that moment."""
        if not self.known_at <= at < self.ended + KNOWN_AFTER_DEATH:
            return None
        if at < self.ended and self.state == "terminated":
            return self.instance()._replace(state="running")
        return self.instance()


class Fleet:
    """EC2 and the group. `launched(machine)` and `ended(machine)` tell the world to boot a node or end it."""

    def __init__(self, now: Callable[[], float], launched: Callable[[Machine], None], ended: Callable[[Machine], None]) -> None:
        self._now, self._launched, self._ended = now, launched, ended
        self.machines: dict[str, Machine] = {}
        self.desired = 0
        self.frozen = False  # the group does nothing, whatever is missing
        self.reuse = False  # addresses of terminated instances are given again
        self.delay: Callable[[], float] = lambda: 0.0  # until EC2 knows a new instance
        self.lag: Callable[[str], float] = lambda me: 0.0  # how old EC2's answer to that instance is
        self.choose: Callable[[list[Machine]], Machine] = lambda machines: machines[0]

    def in_group(self) -> list[Machine]:
        return [m for m in self.machines.values() if m.lifecycle]

    def work(self) -> None:
        """One pass of the group's own controller."""
        if self.frozen:
            return
        counted = []
        for machine in self.machines.values():
            lifecycle = machine.lifecycle
            if not lifecycle:
                continue
            if machine.state == "terminated":
                machine.lifecycle = ""
                continue
            if lifecycle == "Pending":
                machine.lifecycle, machine.state = "Pending:Wait", "running"
            if lifecycle[0] != "T":  # Terminating
                counted.append(machine)
        if len(counted) < self.desired:
            self._launch()
        elif len(counted) > self.desired:
            machine = self.choose(counted)
            machine.lifecycle = "Terminating:Wait"

    def _launch(self) -> None:
        number = len(self.machines) + 1
        machine = Machine(f"i-{number:02}", self._address(), f"zone-{number % 3}", self._now() + self.delay())
        self.machines[machine.id] = machine
        self._launched(machine)

    def _address(self) -> str:
        """The next one, or the lowest that no machine has any more."""
        had = [m.address for m in self.machines.values() if m.state != "terminated" or not self.reuse]
        return next(a for a in (f"10.0.0.{i}" for i in range(1, 255)) if a not in had)

    def terminate(self, machine: Machine) -> None:
        machine.state, machine.ended = "terminated", self._now()
        self._ended(machine)

    def describe(self, me: str, instance_ids: frozenset[str]) -> Group:
        now = self._now()
        asked = [m for m in self.machines.values() if m.lifecycle or m.id in instance_ids]
        found = {m.id: told for m in asked if (told := m.told(now - self.lag(me)))}
        return Group(self.desired, found, me in found, float(math.floor(now)))

    def complete(self, me: str, hook: str) -> bool:
        """CONTINUE that hook; whether it was waiting."""
        machine = self.machines[me]
        if "launch" in hook and machine.lifecycle == "Pending:Wait":
            machine.lifecycle = "InService"
            return True
        if "terminate" in hook and machine.lifecycle == "Terminating:Wait":
            machine.lifecycle = "Terminating:Proceed"
            self.terminate(machine)
            return True
        return False
