"""One sentence for each turn, on standard output: a line when it changes, one each half minute while it stays, no sentence twice
within that time."""

import json
import time
from collections.abc import Callable
from typing import TextIO

REPEAT = 30.0  # seconds


def instant(seconds: float) -> str:
    """Seconds since 1970 as UTC: 2026-11-22T07:16:02Z."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def of_instant(text: str) -> float:
    """Seconds since 1970 of an instant as it is typed, UTC unless it says otherwise. Raises ValueError."""
    from datetime import UTC, datetime

    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


class Say:
    """Called with each turn's sentence, and facts for a machine. A waiting that lasts is said again with its length."""

    def __init__(
        self,
        stream: TextIO,
        write: "Callable[[float, str, dict[str, object]], str]",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._write = write
        self._monotonic = monotonic
        self._sentence = ""
        self._since = 0.0
        self._said: dict[str, float] = {}  # when each sentence of the last half minute was said

    def __call__(self, sentence: str, **facts: object) -> None:
        now = self._monotonic()
        if sentence != self._sentence:
            self._sentence, self._since = sentence, now
        self._said = {said: at for said, at in self._said.items() if now - at < REPEAT}
        if sentence in self._said:
            return
        self._said[sentence] = now
        if now > self._since:
            facts["seconds"] = round(now - self._since)
        self._stream.write(self._write(time.time(), sentence, facts) + "\n")
        self._stream.flush()


def as_text(now: float, sentence: str, facts: dict[str, object]) -> str:
    """A line for a person."""
    lasting = f" (for {facts['seconds']} s)" if "seconds" in facts else ""
    return f"{instant(now)} {sentence}{lasting}"


def as_json(now: float, sentence: str, facts: dict[str, object]) -> str:
    """A line for a machine: `time`, `message` and the facts."""
    return json.dumps({"time": instant(now), "message": sentence, **facts}, default=str)
