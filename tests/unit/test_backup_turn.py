"""Who backs up, and when."""

import pytest

from zkboot.backup import catalogue, lease, turn
from zkboot.backup import manifest as manifests
from zkboot.backup.manifest import instant_of, name_of
from zkboot.backup.store import Listing
from zkboot.errors import UnknownFact, UsageError
from zkboot.model import Configuration, Quorum, Role, Server
from zkboot.world import Stored

DAY = 86_400.0
NAME = "20261122T104700Z"
BEGAN = instant_of(NAME)


def quorum(leader: int, observers: tuple[int, ...] = (), silent: tuple[int, ...] = ()) -> Quorum:
    ids = (1, 2, 3, *observers)
    servers = tuple(Server(i, f"10.0.0.{i}", Role.OBSERVER if i in observers else Role.PARTICIPANT) for i in ids)
    return Quorum(leader, Configuration(1, servers), frozenset(ids) - frozenset(silent), frozenset(), True)


def listed(date: float, *objects: str, **modified: float) -> catalogue.Catalogue:
    """Each manifest has its archive."""
    archives = [name.replace(".manifest.json", ".tar.gz") for name in objects if name.endswith(".manifest.json")]
    kinds = {name: name.rpartition(".")[0].rpartition(".")[2] for name in (*objects, *archives)}
    keys = {
        f"b/{name}": modified.get(kind, manifests.instant_of(name[:16]) if manifests.is_name(name[:16]) else 0.0)
        for name, kind in kinds.items()
    }
    return catalogue.of_listing(Listing(keys, date), "b/")


@pytest.mark.parametrize(
    ("seen", "order"),
    [
        (quorum(1), (2, 3, 1)),
        (quorum(2), (1, 3, 2)),
        (quorum(1, observers=(4, 5)), (4, 5, 2, 3, 1)),
        (quorum(1, observers=(4,), silent=(2, 4)), (3, 1)),
    ],
)
def test_an_observer_or_a_follower_before_the_leader(seen: Quorum, order: tuple[int, ...]) -> None:
    assert turn.order(seen) == order


def test_the_first_goes_at_once_the_others_when_it_does_not() -> None:
    seen = quorum(1)
    assert turn.refusal(seen, 2, 0.0) == ""
    assert turn.refusal(seen, 3, 60.0) == "it is server 2's turn; this one's comes in 2340 s, if it is not done by then"
    assert turn.refusal(seen, 3, 2 * turn.LOOK) == ""
    assert turn.refusal(seen, 1, 2 * turn.LOOK) and not turn.refusal(seen, 1, 4 * turn.LOOK)
    assert turn.refusal(seen, 9, 1e9) == turn.refusal(seen, None, 1e9) == "this node is no serving member"


def test_exactly_one_goes_while_none_is_late() -> None:
    for seen in (quorum(1), quorum(3), quorum(2, observers=(4,)), quorum(2, silent=(1,))):
        assert [i for i in range(6) if not turn.refusal(seen, i, 0.0)] == [turn.order(seen)[0]]


def test_a_backup_is_due_a_look_before_the_interval_has_passed() -> None:
    archive, manifest, current = f"{NAME}.tar.gz", f"{NAME}.manifest.json", f"{NAME}.current.json"
    assert turn.due(listed(BEGAN), DAY) == 0.0
    assert turn.due(listed(BEGAN + DAY, archive), DAY) == 0.0  # without a manifest it is none
    assert turn.due(listed(BEGAN + 100, archive, manifest), DAY) == 100 + turn.LOOK - DAY
    assert turn.due(listed(BEGAN + DAY, archive, manifest), DAY) == turn.LOOK
    assert turn.due(listed(BEGAN + DAY, archive, manifest, current, current=BEGAN + DAY - 10), DAY) == 10 + turn.LOOK - DAY


def test_a_clock_that_was_ahead_for_a_while_puts_no_backup_off() -> None:
    """A store's own clock (of another server than Amazon's) was a year ahead when one was made, and names only grow."""
    ahead = BEGAN + 365 * DAY
    names = [name_of(ahead), name_of(ahead + 1)]
    objects = {f"b/{name}{ending}": ahead for name in names[:1] for ending in (".tar.gz", ".manifest.json")}
    found = catalogue.of_listing(Listing(objects, BEGAN + DAY), "b/")
    assert turn.due(found, DAY) == 0.0, "nobody knows when that was"
    objects |= {f"b/{names[1]}{ending}": BEGAN + DAY for ending in (".tar.gz", ".manifest.json")}
    found = catalogue.of_listing(Listing(objects, BEGAN + DAY + 100), "b/")
    assert found.newest and found.newest.name == names[1] and found.newest.as_of == BEGAN + DAY
    assert turn.due(found, DAY) == 100 + turn.LOOK - DAY


def test_the_newest_is_the_last_by_name_and_others_are_asked_for_by_name() -> None:
    later = name_of(BEGAN + 1)
    found = listed(
        0.0, f"{later}.manifest.json", f"{NAME}.manifest.json", f"{NAME}.verified.json", "x.manifest.json", verified=5.0
    )
    assert [(e.name, e.verified) for e in found.entries] == [(NAME, 5.0), (later, None)]
    assert found.newest and found.newest.name == later and found.named(NAME).began == BEGAN
    with pytest.raises(UsageError, match=f"there is no backup x; the latest is {later}"):
        found.named("x")


def test_what_no_clock_ever_shows_is_no_name() -> None:
    found = listed(0.0, f"{NAME}.manifest.json", "20261322T104700Z.manifest.json", "20260230T000000Z.manifest.json")
    assert [entry.began for entry in found.entries] == [BEGAN]


def test_a_backup_found_damaged_is_not_the_newest_any_more() -> None:
    later = name_of(BEGAN + DAY)
    names = f"{NAME}.manifest.json", f"{later}.manifest.json", f"{later}.verified.json", f"{later}.damaged.json"
    for verified, damaged, newest in ((5.0, 6.0, NAME), (6.0, 6.0, NAME), (7.0, 6.0, later)):
        found = listed(BEGAN + DAY, *names, verified=verified, damaged=damaged)
        assert found.latest and found.latest.name == later and found.newest and found.newest.name == newest
        assert turn.due(found, DAY) == (turn.LOOK if newest == NAME else turn.LOOK - DAY)


def test_a_backup_without_its_archive_is_a_damaged_one() -> None:
    marks = {f"b/{NAME}.manifest.json": 4.0, f"b/{NAME}.verified.json": 5.0}
    (entry,) = catalogue.of_listing(Listing(marks, 9.0), "b/").entries
    assert (entry.verified, entry.damaged) == (None, 4.0)


def test_a_backup_that_was_never_read_back_is_noticed_a_look_later() -> None:
    manifest, verified = f"{NAME}.manifest.json", f"{NAME}.verified.json"
    assert not turn.unverified(listed(BEGAN + turn.LOOK, manifest))
    assert turn.unverified(listed(BEGAN + turn.LOOK + 1, manifest))
    assert not turn.unverified(listed(BEGAN + DAY, manifest, verified))


def stored(holder: str, age: float) -> Stored:
    return Stored(f'{{"schema": 1, "holder": "{holder}", "nonce": "n"}}'.encode(), "e", 1000.0, 1000.0 + age)


def test_a_lease_is_free_when_nobody_renews_it() -> None:
    assert lease.free(None, "i-1") and lease.free(stored("", 0), "i-1")
    assert lease.free(stored("i-1", 0), "i-1")  # a zkboot of this node that was killed: the node's lock keeps two apart
    assert not lease.free(stored("i-2", lease.LASTS), "i-1")
    assert lease.free(stored("i-2", lease.LASTS + 1), "i-1")
    with pytest.raises(UnknownFact, match="remove the object"):
        lease.free(Stored(b"[]", "e", 0, 0), "i-1")
