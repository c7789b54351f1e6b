"""The file that says how old the newest verified backup is."""

from pathlib import Path

import pytest

from zkboot.backup import seen
from zkboot.backup.seen import Seen


def test_what_was_seen_is_read_again(tmp_path: Path) -> None:
    state = f"{tmp_path}/state"
    assert seen.read(state) is None
    seen.write(state, Seen("20261122T104700Z", 5.0, 7.0))
    assert seen.read(state) == Seen("20261122T104700Z", 5.0, 7.0)
    seen.forget(state)
    seen.forget(state)
    assert seen.read(state) is None


def test_that_there_is_none_is_known_since_it_was_first_seen(tmp_path: Path) -> None:
    state = str(tmp_path)
    seen.write(state, Seen(None, 5.0, 5.0))
    seen.write(state, Seen(None, 9.0, 9.0))
    assert seen.read(state) == Seen(None, 5.0, 9.0)
    seen.write(state, Seen("20261122T104700Z", 8.0, 11.0))
    seen.write(state, Seen(None, 12.0, 12.0))
    assert seen.read(state) == Seen(None, 12.0, 12.0)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"schema": 2, "name": null, "as_of": 1, "seen": 1}', '{"schema": 1, "name": "x"}']
)
def test_what_is_none_of_ours_says_nothing(tmp_path: Path, text: str) -> None:
    Path(seen.path(str(tmp_path))).write_text(text)
    assert seen.read(str(tmp_path)) is None
