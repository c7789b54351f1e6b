"""Reports that are no longer true, and the promise of a node that a person's command stops."""

from zkboot.actions.given import Act
from zkboot.actions.server import release, stop
from zkboot.actions.writing import amend_record, report_joining, says, write_report
from zkboot.model import DiskState, Holds


def report_disk(a: Act) -> str | None:
    """Say what the disk holds, the server without loadable data stopped first."""
    if a.seen.disk.state is not DiskState.DATA:
        stop(a)
    write_report(a, says(a.seen))
    return None


def withdraw(a: Act) -> str | None:
    """Take an `empty` promise back: `joining`, then the record's revision raised, then what the disk holds."""
    report_joining(a)
    amend_record(a, lambda record: record, "raise")
    if a.words.of_generation:
        release(a)
    return None


def obey(a: Act) -> str | None:
    """A person's command: stop, promise to stay stopped, report. The node that a reseed was typed on reports its data instead.

    The data itself stays where it is until the new generation's seed leads, so that a withdrawn command has lost
    nothing; the promise keeps it from being started meanwhile, also while AWS is away.
    """
    intent, report = a.record.intent, a.words.own_report
    assert intent is not None
    keeps = intent.command == "reseed" and intent.instance_id == a.me.instance_id
    if keeps and (serving := others_serving(a)):
        # What they acknowledge until they stop must be in what the ensemble goes on with.
        return f"{a.decision.reason}, after the others: {', '.join(map(str, serving))} still serve"
    stop(a)
    holds = says(a.seen) if keeps else Holds.EMPTY
    if report is None or report.holds is not holds or report.revision != a.record.revision:
        write_report(a, holds)
    return None


def others_serving(a: Act) -> list[int]:
    own = a.words.own_server
    return sorted(a.words.quorum.serving - ({own.id} if own else set())) if a.words.quorum else []
