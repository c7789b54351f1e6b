"""The story that a boot tells in cloud-init's log, held to what it may say, line by line."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from tests.lab.machines import Machine
from zkboot.say import REPEAT

STAMP = re.compile(r"(?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) (?P<sentence>.*?)(?P<again> \(for \d+ s\))?")
# What a real one says beside its commands.
CLOUD_INIT = re.compile(r"$|Cloud-init v\.|ci-info: |\S+ \S+ - \w+\.py\[WARNING\]: ")
END = re.compile(r"; recovery every|zkboot config names what is wrong")
COMPLAINT = re.compile(r"(?P<at>)zkboot: (?P<sentence>.*)(?P<again>)")
# What `wait` says, `bootstrap` after it, another process, may have to say too.
OF_BOTH = re.compile(
    r"waiting: (\d+ of \d+ instances registered|no quorum seen, and it is unknown|an ensemble serves, but it is)"
)


class Said(NamedTuple):
    at: float  # seconds since 1970; 0 of a complaint
    sentence: str
    again: bool  # said before, and now with how long it lasts


class Line(NamedTuple):
    """What a line may be: a regular expression of the whole sentence."""

    pattern: str
    may_miss: bool = False
    may_repeat: bool = False  # further lines of the same pattern, with other words


def says(pattern: str) -> Line:
    return Line(pattern)


def may(pattern: str) -> Line:
    """It depends on who was how fast."""
    return Line(pattern, may_miss=True)


def any_of(*patterns: str) -> Line:
    """Any number of these."""
    return Line("|".join(patterns), may_miss=True, may_repeat=True)


def log_of(machine: Machine) -> list[str]:
    """zkboot's lines in the log: on a machine without cloud-init all of them."""
    path = machine.root / "cloud-init-output.log"
    text = path.read_text(errors="replace") if path.exists() else ""
    assert "Traceback" not in text, text
    others = CLOUD_INIT if text.startswith("Cloud-init") else None
    return [line for line in text.splitlines() if not (others and others.match(line))]


def ended(machine: Machine) -> bool:
    """Whether the boot has told its end."""
    return any(END.search(line) for line in log_of(machine)[-1:])


def told(lines: list[str]) -> Iterator[Said]:
    for line in lines:
        match = STAMP.fullmatch(line) or COMPLAINT.fullmatch(line)
        assert match, f"neither a sentence nor a complaint: {line}"
        at = datetime.fromisoformat(match["at"]).timestamp() if match["at"] else 0.0
        yield Said(at, match["sentence"], bool(match["again"]))


def hold_to(machine: Machine, *story: Line) -> None:
    hold(log_of(machine), *story)


def hold(lines: list[str], *story: Line) -> None:
    """Each line of a log is the story's next, or was said before; none is missing, none is said twice within half a minute."""
    shown = "\n".join(lines)
    before: dict[str, list[float]] = {}
    rest = list(story)
    for said in told(lines):
        times = before.setdefault(said.sentence, [])
        recent = [at for at in times if said.at - at < REPEAT - 1]  # the log has whole seconds
        assert len(recent) <= bool(OF_BOTH.match(said.sentence)), f"{said.sentence!r} is said twice:\n{shown}"
        assert times or not said.again, f"{said.sentence!r} is new, and said as if it lasted:\n{shown}"
        times.append(said.at)
        if len(times) > 1:
            continue
        while rest and not re.fullmatch(rest[0].pattern, said.sentence):
            assert rest[0].may_miss, f"{said.sentence!r} stands where the story says {rest[0].pattern!r}:\n{shown}"
            rest.pop(0)
        assert rest, f"{said.sentence!r} is not in the story:\n{shown}"
        if not rest[0].may_repeat:
            rest.pop(0)
    missing = [line.pattern for line in rest if not line.may_miss]
    assert not missing, f"the story goes on with {missing}:\n{shown}"
