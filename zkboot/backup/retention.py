"""Which backups are kept: a pure decision over one cluster's backups.

The rules are a union, as in other backup tools: what any of them keeps is kept. Only verified backups count, so that no number of
others takes the place of one that is known to be whole. Whatever the rules say, the newest verified backup is kept, and all that
came after it.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

from zkboot.backup.catalogue import Entry

DAY = 86_400.0  # seconds
PERIODS = (("day", "%Y-%m-%d"), ("week", "%G-%V"), ("month", "%Y-%m"))  # of UTC; a week is ISO 8601's


class Rules(NamedTuple):
    """All 0 deletes nothing. `days` in days of 24 hours, since a backup was last known to hold all that had been written."""

    newest: int = 0
    days: float = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0


def kept(entries: Sequence[Entry], rules: Rules, date: float) -> dict[str, str]:
    """Why each backup is kept, by its name; what is not named may be deleted. `entries` are those of one cluster, oldest first;
    `date` is the store's clock."""
    verified = [entry for entry in entries if entry.verified is not None]
    if not any(rules):
        return {entry.name: "no rule deletes any" for entry in entries}
    if not verified:
        return {entry.name: "none is verified" for entry in entries}
    newest = verified[-1]
    why = {newest.name: "the newest verified one"}
    why |= {entry.name: "newer than the newest verified one" for entry in entries if entry.began > newest.began}
    if rules.newest:
        why |= {entry.name: f"one of the newest {rules.newest}" for entry in verified[-rules.newest :] if entry.name not in why}
    if rules.days:
        young = (entry for entry in entries if date - entry.as_of <= rules.days * DAY)
        why |= {entry.name: f"not older than {rules.days:g} d" for entry in young if entry.name not in why}
    for (period, form), number in zip(PERIODS, (rules.daily, rules.weekly, rules.monthly), strict=True):
        last = {time.strftime(form, time.gmtime(entry.began)): entry for entry in verified}
        chosen = list(last.values())[len(last) - min(number, len(last)) :]
        why |= {entry.name: f"the last one of its {period}" for entry in chosen if entry.name not in why}
    return why
