"""What one turn leaves for the next on the root disk: since when conditions hold, and what the light turn may rely on.

Durations are counted by the clock since boot, so that they end with it; a new boot begins new notes but for who this node is and
whether its generation was seen `created`.
"""

from typing import Any

from zkboot.model import Held, Me, Scope
from zkboot.world import World

KEPT_OVER_BOOTS = ("me", "created", "let_in", "server_id", "address", "version")


class Notes:
    """The state file, read once a turn and written when something changed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._read: dict[str, Any] = dict(world.disk.load())
        self.state: dict[str, Any] = dict(self._read)
        boot = world.clock.boot_id()
        if self.state.get("boot") != boot:
            self.state = {k: v for k, v in self.state.items() if k in KEPT_OVER_BOOTS} | {"boot": boot}

    def held(self) -> dict[str, Held]:
        now = self._world.clock.monotonic()
        return {name: Held(now - since, at) for name, (since, at) in self.state.get("held", {}).items()}

    def note(self, conditions: tuple[str, ...], store_date: float) -> None:
        """Start the time of conditions newly true, keep that of those still true, forget the others."""
        old, now = self.state.get("held", {}), self._world.clock.monotonic()
        self.state["held"] = {name: old.get(name, [now, store_date]) for name in conditions}

    def is_new(self, conditions: tuple[str, ...]) -> bool:
        return any(name not in self.state.get("held", {}) for name in conditions)

    def me(self) -> Me | None:
        """Who this node was when the metadata last answered."""
        kept = self.state.get("me")
        return Me(kept[0], kept[1], kept[2], Scope(*kept[3])) if kept else None

    def keep_me(self, me: Me) -> None:
        self.state["me"] = [me.instance_id, me.address, me.zone, list(me.scope)]

    def reported(self) -> float:
        """Seconds since this node last wrote its report; infinite when it has not since boot."""
        at = self.state.get("reported")
        return float("inf") if at is None else self._world.clock.monotonic() - at

    def mark(self, name: str) -> None:
        self.state[name] = self._world.clock.monotonic()

    def save(self) -> None:
        if self.state != self._read:
            self._world.disk.save(self.state)
            self._read = dict(self.state)
