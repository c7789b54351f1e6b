"""The cluster's record and the nodes' reports in the store, changed only by compare-and-set.

The answer to a conditional write can mislead: one's own write, sent again after a lost answer, meets itself and is refused. Who
wrote what is there is told by the nonce of a record, and by the body of a report, which only its own node writes.
"""

import secrets
from concurrent.futures import ThreadPoolExecutor

from zkboot import documents
from zkboot.errors import Stale, UnknownFact
from zkboot.model import Record, Report
from zkboot.world import Store, Stored

READERS = 8  # reports read at once


def record_key(cluster: str) -> str:
    return f"control/{cluster}/record.json"


def report_key(cluster: str, instance_id: str) -> str:
    return f"control/{cluster}/reports/{instance_id}.json"


def read(store: Store, cluster: str) -> tuple[Record, str] | None:
    """The record and its ETag; None when the store says that there is none. Raises UnknownFact, NewerSchema."""
    found = read_dated(store, cluster)
    return found[:2] if found else None


def read_dated(store: Store, cluster: str) -> tuple[Record, str, float] | None:
    """As `read`, with the store's clock at the answer."""
    key = record_key(cluster)
    stored = store.get(key)
    return None if stored is None else (documents.record_of_json(stored.body, key), stored.etag, stored.date)


def create(store: Store, cluster: str, record: Record) -> tuple[Record, str]:
    """Write the record where none is, as `replace` does."""
    return _write(store, cluster, record, None)


def replace(store: Store, cluster: str, record: Record, etag: str) -> tuple[Record, str]:
    """Write the record in place of the one with that ETag, as its next revision: what is stored now, and its ETag.

    Raises Stale when another was written instead, UnknownFact when it is not known whether this one was or will be.
    """
    return _write(store, cluster, record, etag)


def _write(store: Store, cluster: str, record: Record, etag: str | None) -> tuple[Record, str]:
    key = record_key(cluster)
    new = record._replace(revision=record.revision + 1, nonce=secrets.token_hex(8))
    body = documents.record_to_json(new)
    documents.record_of_json(body, key)  # what nobody could read again is not written
    try:
        return new, store.put(key, body, etag)
    except (Stale, UnknownFact) as error:
        return _resolve(error, new, etag, read(store, cluster), key)


def _resolve(
    error: Stale | UnknownFact, new: Record, etag: str | None, found: tuple[Record, str] | None, key: str
) -> tuple[Record, str]:
    """What became of a write that was refused or not answered, by what is there now."""
    if found is None:
        if isinstance(error, UnknownFact) and etag is None:
            raise error  # it may still be under way
        raise Stale(f"{key} is gone; looking again") from error
    record, found_etag = found
    if record.nonce == new.nonce:
        return found
    if found_etag == etag:
        raise error  # nothing happened yet; an unanswered write may still be under way
    if record.revision > new.revision:
        was = f"whether its revision {new.revision} was this node's is not known"
        raise UnknownFact(f"other nodes wrote {key}, revision {record.revision} by now: {was}; looking again") from error
    raise Stale(f"another node was first to write {key}, revision {record.revision} by now; looking again") from error


def read_report(store: Store, cluster: str, instance_id: str) -> Report | None:
    """One instance's report; None when the store says that there is none. Raises UnknownFact, NewerSchema."""
    key = report_key(cluster, instance_id)
    stored = store.get(key)
    return None if stored is None else _report(stored, key)


def read_reports(store: Store, cluster: str) -> dict[str, Report]:
    """Every report by instance id. One that cannot be read makes all of them unknown: raises UnknownFact, NewerSchema."""
    instance_ids = list(report_etags(store, cluster))
    with ThreadPoolExecutor(READERS) as readers:
        reports = readers.map(lambda instance_id: read_report(store, cluster, instance_id), instance_ids)
        return {report.instance_id: report for report in reports if report is not None}


def report_etags(store: Store, cluster: str) -> dict[str, str]:
    """The ETag of every report by instance id, of one listing."""
    prefix = report_key(cluster, "").removesuffix(".json")
    listed = (entry for entry in store.list(prefix) if entry.key.endswith(".json"))
    return {entry.key[len(prefix) : -len(".json")]: entry.etag for entry in listed}


def write_report(store: Store, cluster: str, report: Report) -> Report:
    """Write a report in place of the one with its ETag ("": where none is). Returned with its new ETag; `modified` is 0, as only
    a later reading tells it.

    Raises Stale when another is there by now, UnknownFact when it is not known whether this one is or will be.
    """
    key = report_key(cluster, report.instance_id)
    body = documents.report_to_json(report)
    documents.report_of_json(body, key)  # what nobody could read again is not written
    try:
        etag = store.put(key, body, report.etag or None)
    except (Stale, UnknownFact):
        stored = store.get(key)
        # The same bytes under the same ETag were there before: whether they were written once more is not known.
        if stored is None or stored.body != body or stored.etag == report.etag:
            raise
        etag = stored.etag
    return report._replace(etag=etag, modified=0.0)


def _report(stored: Stored, key: str) -> Report:
    report = documents.report_of_json(stored.body, key)
    if not key.endswith(f"/{report.instance_id}.json"):
        raise UnknownFact(f"{key} is the report of another instance, {report.instance_id}: remove the object")
    return report._replace(etag=stored.etag, modified=stored.modified)
