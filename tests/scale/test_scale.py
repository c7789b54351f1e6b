"""Nothing that a turn asks for grows faster than the ensemble, and nothing at all with the bucket. Counts, never times."""

from collections.abc import Iterator

import pytest

from tests.scale.measure import Row, cost, measure
from tests.scale.world import VOTERS, ensemble, other_clusters

SMALL, LARGE = 2 * VOTERS, 30


@pytest.fixture(scope="module")
def rows() -> Iterator[tuple[Row, Row]]:
    with ensemble(SMALL) as of:
        small = measure(of)
    with ensemble(LARGE) as of:
        large = measure(of)
    yield small, large


def test_a_healthy_turn_makes_as_many_calls_in_an_ensemble_of_any_size(rows: tuple[Row, Row]) -> None:
    small, large = rows
    assert small.healthy.calls == large.healthy.calls and large.healthy.called <= 4


def test_without_a_quorum_one_call_more_for_each_member(rows: tuple[Row, Row]) -> None:
    small, large = rows
    assert large.alone.called - small.alone.called == LARGE - SMALL


def test_what_is_read_grows_with_the_members(rows: tuple[Row, Row]) -> None:
    small, large = rows
    assert large.record / LARGE <= small.record / SMALL
    assert large.healthy.bytes / LARGE <= small.healthy.bytes / SMALL
    assert large.alone.bytes / LARGE <= small.alone.bytes / SMALL


def test_other_clusters_in_the_bucket_cost_nothing() -> None:
    with ensemble(3) as of:
        before = cost(of, serves=True), cost(of, serves=False)
        other_clusters(1000)
        after = cost(of, serves=True), cost(of, serves=False)
    assert [c.calls for c in before] == [c.calls for c in after]
