"""The bar that a person sees, and that a log does not."""

import io

import pytest

from zkboot.backup import progress

MIB = 1 << 20


def test_a_line_tells_part_amount_rate_and_time_left() -> None:
    half = progress.line("copying x", 2 * MIB, 4 * MIB, 1.0, 200)
    assert half == "copying x [############------------]  50% 2 of 4 MiB, 2 MiB/s, 1.0 s left"
    assert progress.line("copying x", 0, 4 * MIB, 0.0, 200).endswith("]   0% 0 of 4 MiB, 0 MiB/s")
    assert progress.line("copying x", 4 * MIB, 4 * MIB, 2.0, 200).endswith("] 100% 4 of 4 MiB, 2 MiB/s")
    assert "100%" in progress.line("copying x", 5 * MIB, 4 * MIB, 2.0, 200), "more than was thought is no more than all"


@pytest.mark.parametrize(("columns", "bar"), [(200, "[############------------] "), (57, "[####----] "), (50, ""), (20, "")])
def test_a_narrow_terminal_has_a_shorter_bar_or_none(columns: int, bar: str) -> None:
    told = f"copying x {bar} 50% 2 of 4 MiB, 2 MiB/s, 1.0 s left"
    assert progress.line("copying x", 2 * MIB, 4 * MIB, 1.0, columns) == told[:columns]


def test_it_is_drawn_on_a_terminal_alone_and_is_gone_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with progress.shown("copying x", 10) as moved:
        moved(10)
    terminal = io.StringIO()
    monkeypatch.setattr(progress, "screen", terminal)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with pytest.raises(ValueError), progress.shown("copying x", 10) as moved:
        moved(4)
        raise ValueError
    drawn = terminal.getvalue()
    assert drawn.startswith(progress.CLEARED + "copying x [####") and drawn.endswith(progress.CLEARED)
    assert "\n" not in drawn


def test_nothing_to_do_is_done() -> None:
    assert "100%" not in progress.line("x", 0, 1, 0.0, 200)
    with progress.shown("x", 0) as moved:
        moved(0)
