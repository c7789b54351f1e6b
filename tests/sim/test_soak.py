"""The soak ends with whoever started it, and goes on where it was."""

import json
import signal
import subprocess
import sys
from pathlib import Path

from tests.integration.servers import wait_for
from tests.sim import soak

IMPORTED = """
import sys
from tests.sim import soak
before = set(sys.modules)
soak.play(0)
print(sorted(name for name in set(sys.modules) - before if name.startswith(("zkboot", "tests.sim"))))
"""


def soaking(state: Path, count: int) -> list[str]:
    return [sys.executable, "-m", "tests.sim.soak", "--state", str(state), "--count", str(count), "--jobs", "2"]


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def runs(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_killed_soak_leaves_no_process_and_goes_on_where_it_was(tmp_path: Path) -> None:
    state = tmp_path / "soak.json"
    parent = subprocess.Popen(soaking(state, 1_000_000), cwd=soak.ROOT, stdout=subprocess.DEVNULL)
    wait_for("what was played to be kept", state.exists)
    workers = children(parent.pid)
    assert len(workers) == 2
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_for("the workers to end", lambda: not any(runs(worker) for worker in workers))
    done = json.loads(state.read_text())["done"]
    again = subprocess.run(soaking(state, done + soak.CHUNK), cwd=soak.ROOT, capture_output=True, text=True, check=True)
    assert f"going on after {done:,} schedules" in again.stdout
    assert json.loads(state.read_text())["done"] == done + soak.CHUNK


def test_all_that_is_played_is_looked_at_for_changes() -> None:
    """What a schedule imports on its way would not be: a soak would go on over a change of it."""
    found = subprocess.run([sys.executable, "-c", IMPORTED], cwd=soak.ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_a_comment_is_no_change_and_a_statement_is() -> None:
    first = 'def half(n):\n    """Rounded down."""\n    return n // 2\n'
    assert soak.statements(first) == soak.statements("def half(n):\n    # towards zero\n    return n // 2\n")
    assert soak.statements(first) != soak.statements(first.replace("//", "/"))
