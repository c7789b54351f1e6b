"""`make demo`, as a newcomer runs it: the outcome, and a Ctrl-C in the middle."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab import processes
from tests.lab.settings import zookeeper_home

CHECKOUT = Path(__file__).resolve().parents[2]
DEADLINE = 1200.0  # seconds; the demo itself takes about one minute on an idle machine
EVENTS = (
    "3 empty machines become an ensemble",
    "the leader is killed",
    "an instance is terminated and replaced",
    "the group goes from 3 to 5",
    "the group goes from 5 to 3",
    "2 of 3 lose power and return",
)


class Demo:
    """One run of the demo; it may write to `home` only by mistake."""

    def __init__(self, home: Path) -> None:
        self.home = home / "home"
        self.home.mkdir()
        self.told = home / "told"
        environment = {**os.environ, "HOME": str(self.home), "TMPDIR": str(self.home), "ZOOKEEPER_HOME": str(zookeeper_home())}
        with open(self.told, "wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.demo"],
                cwd=CHECKOUT,
                env=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        return self.told.read_text(errors="replace")

    def until(self, what: str, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, f"not within {DEADLINE:g} s: {what}\n{self.text}"
            time.sleep(0.05)

    def ended(self) -> int:
        self.until("the demo ends", lambda: self.process.poll() is not None)
        return self.process.returncode

    def region(self) -> Path:
        """The folder of its region."""
        (found,) = [path.parent for path in (CHECKOUT / ".lab").glob("*/region.json") if owner(path) == self.process.pid]
        return found

    def left(self) -> set[int]:
        """Living processes that carry its mark."""
        owner = str(self.process.pid)
        return {
            pid for pid in processes.every() if processes.variable(pid, "ZKBOOT_LAB_REGION") == owner and processes.alive(pid)
        }


def owner(state: Path) -> int:
    """Whose region it is; 0 when it has ended this moment."""
    try:
        return int(json.loads(state.read_text())["pid"])
    except FileNotFoundError:
        return 0


@contextmanager
def demo(home: Path) -> Iterator[Demo]:
    running = Demo(home)
    try:
        yield running
    finally:
        running.process.terminate()
        running.process.wait(DEADLINE)


def servers_of(region: Path) -> set[int]:
    return {pid for file in region.glob("i-*/run/zkboot/zookeeper.pid") if (pid := processes.pid_of(file))}


def row(text: str, event: str) -> list[str]:
    """The cells of the table's row for that event, without its name."""
    (line,) = re.findall(rf"^ *{re.escape(event)}  +(.*?) *$", text, re.MULTILINE)
    return re.split(r"  +", line)


def test_every_state_is_reached_and_no_write_is_lost(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        assert running.ended() == 0, running.text
        text = running.text
        assert row(text, EVENTS[0])[1:] == ["-", "-"]
        for event in EVENTS[1:]:
            healed, gap, lost = row(text, event)
            assert healed.endswith(" s") and gap.endswith(" s") and lost == "0", text
        (there, acknowledged) = re.search(r"(\d+) of (\d+) acknowledged writes are there", text).groups()  # type: ignore[union-attr]
        assert there == acknowledged and int(there) > 0
        assert "“joined as server" in text and "replacing" in text
        assert "\x1b" not in text
        assert running.left() == set() and list(running.home.iterdir()) == []


@pytest.mark.parametrize("moment", ["launched at", "KILL to the server"])
def test_an_interrupt_stops_all_that_was_started_and_leaves_nothing(tmp_path: Path, moment: str) -> None:
    with demo(tmp_path) as running:
        running.until(moment, lambda: moment in running.text or running.process.poll() is not None)
        region = running.region()
        running.until("something of it runs", running.left)
        servers, machines = servers_of(region), list(region.glob("i-*"))
        before = {
            path for pid in servers for path in Path("/tmp").glob(f"hsperfdata_*/{pid}")
        }  # of another java, killed long ago
        running.process.send_signal(signal.SIGINT)
        assert running.ended() == 130, running.text
        assert running.text.splitlines()[-1].startswith("stopped: ")
        assert "Traceback" not in running.text
        assert running.left() == set()
        assert not [machine for machine in machines if machine.exists()]  # the folder itself may be another region's by now
        assert list(running.home.iterdir()) == []
        assert {path for pid in servers for path in Path("/tmp").glob(f"hsperfdata_*/{pid}")} <= before
