"""Which backups are kept: properties of the decision, over every set of backups and rules."""

import itertools

from hypothesis import example, given
from hypothesis import strategies as st

from zkboot.backup.catalogue import Entry
from zkboot.backup.manifest import name_of
from zkboot.backup.retention import DAY, Rules, kept

NOW = 1_795_000_000.0
HOUR = 3600.0


def entry(age: float, verified: bool = True, damaged: bool = False) -> Entry:
    """A backup of that age in hours."""
    began = NOW - age * HOUR
    return Entry(name_of(began), began + 1 if verified and not damaged else None, began + 1 if damaged else None, None)


@st.composite
def catalogues(draw: st.DrawFn) -> tuple[Entry, ...]:
    ages = draw(st.lists(st.integers(0, 24 * 500), unique=True, max_size=60))
    return tuple(entry(age, *draw(st.sampled_from([(True, False), (False, False), (False, True)]))) for age in sorted(ages)[::-1])


numbers = st.integers(0, 6)
rules = st.builds(Rules, numbers, st.integers(0, 60), numbers, numbers, numbers)


def verified_of(entries: tuple[Entry, ...]) -> list[Entry]:
    return [entry for entry in entries if entry.verified is not None]


def after(entries: tuple[Entry, ...], asked: Rules, date: float = NOW) -> tuple[Entry, ...]:
    why = kept(entries, asked, date)
    return tuple(entry for entry in entries if entry.name in why)


@given(catalogues(), rules)
def test_the_newest_verified_and_all_after_it_are_kept(entries: tuple[Entry, ...], asked: Rules) -> None:
    left = after(entries, asked)
    found = verified_of(entries)
    if not found:
        assert left == entries
    else:
        assert set(entries[entries.index(found[-1]) :]) <= set(left)


@given(catalogues(), rules)
def test_each_rule_holds_whatever_the_others_are(entries: tuple[Entry, ...], asked: Rules) -> None:
    left = set(after(entries, asked))
    found = verified_of(entries)
    assert set(found[len(found) - min(asked.newest, len(found)) :]) <= left
    assert {e for e in entries if asked.days and NOW - e.as_of <= asked.days * DAY} <= left
    days = {e.name[:8]: e for e in found}
    months = {e.name[:6]: e for e in found}
    for last, number in ((days, asked.daily), (months, asked.monthly)):
        assert {last[period] for period in sorted(last)[len(last) - min(number, len(last)) :]} <= left


@given(catalogues(), rules)
def test_once_more_deletes_nothing_more(entries: tuple[Entry, ...], asked: Rules) -> None:
    left = after(entries, asked)
    assert after(left, asked) == left


@given(catalogues(), rules, st.integers(0, 4))
def test_a_higher_number_deletes_nothing_more(entries: tuple[Entry, ...], asked: Rules, field: int) -> None:
    if not any(asked):
        return  # 0 everywhere is none deleted, by its own word
    more = Rules(*(number + (index == field) for index, number in enumerate(asked)))
    assert set(after(entries, asked)) <= set(after(entries, more))


@given(catalogues())
@example((entry(5), entry(3, verified=False), entry(1)))
def test_without_a_rule_nothing_is_deleted(entries: tuple[Entry, ...]) -> None:
    assert after(entries, Rules()) == entries


def test_one_a_day_for_two_years_leaves_what_the_rules_say() -> None:
    asked = Rules(newest=3, daily=7, weekly=4, monthly=12)
    entries: tuple[Entry, ...] = ()
    for day in range(730):
        date = NOW + day * DAY
        entries = after((*entries, Entry(name_of(date), date, None, None)), asked, date)
    ages = [round((NOW + 729 * DAY - e.began) / DAY) for e in entries][::-1]
    assert ages[:7] == list(range(7)) and 17 <= len(ages) <= 7 + 4 + 12
    assert ages[-1] >= 304 and all(b - a <= 31 for a, b in itertools.pairwise(ages))


def test_what_is_not_verified_takes_nobodys_place() -> None:
    old, bad, unread, newest = entry(30), entry(20, damaged=True), entry(10, verified=False), entry(1)
    asked = Rules(newest=2)
    assert kept((old, bad, unread, newest), asked, NOW) == {
        old.name: "one of the newest 2",
        newest.name: "the newest verified one",
    }
    assert after((old, bad, unread), asked) == (old, bad, unread), "all after the newest verified one"
    assert after((bad, unread), asked) == (bad, unread), "none is verified"


def test_a_backup_is_as_young_as_the_last_look_that_found_nothing_written_since() -> None:
    """Nothing was written for long, and then by mistake: what was there until then is in the older backup alone."""
    before, mistake = entry(24 * 60)._replace(current=NOW - 25 * HOUR), entry(24)
    assert after((before, mistake), Rules(newest=1, days=7)) == (before, mistake)
    assert after((before, mistake), Rules(newest=1, days=1)) == (mistake,)
