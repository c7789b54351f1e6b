"""`make bench`: that it measures. What it measures is for people to judge; only counts are asserted, never a time."""

import json
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def test_a_light_turn_makes_no_call_and_every_figure_says_against_what() -> None:
    command = [sys.executable, "-m", "tests.bench", "turn", "leader", "--samples", "1", "--json"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {"processor", "java", "zookeeper", "faster than production"} <= told["machine"].keys()
    figures = {figure["what"]: figure for figure in told["figures"]}
    assert figures["AWS calls of a light turn"]["ours"] == [0]
    assert figures["AWS calls of a whole healthy turn"]["median"] > 0
    compared = [figure for figure in told["figures"] if figure["ratio"] is not None]
    assert len(compared) == 7 and all(figure["against"] and figure["ratio"] > 0 for figure in compared)
