"""`plan --why` tells the policy's own guards: its conditions and the rows agree, in every situation looked at."""

from itertools import islice

from tests.policy.scenery import observe
from tests.policy.space import PIECES, crossed, piece
from zkboot.explain import CONDITIONS, failing, why_not
from zkboot.policy import ROWS, decide
from zkboot.words import Words


def test_the_conditions_of_the_row_that_matched_hold_and_of_each_row_above_one_does_not() -> None:
    for situation in (*crossed(3_000), *(s for number in range(len(PIECES)) for s in islice(piece(number), 0, 3_000, 50))):
        seen = observe(situation)
        row = decide(seen).row
        assert failing(row, Words(seen)) == "", (row, situation)
        assert all(text for _, text in why_not(seen, row)), (row, why_not(seen, row), situation)


def test_every_row_is_explained() -> None:
    assert list(CONDITIONS) == [row.number for row in ROWS]
