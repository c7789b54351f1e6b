"""What of a journal is shipped, in which batches, and what `zkboot logs` may be asked."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkboot import cli
from zkboot.errors import SettingsError, UsageError, ZkbootError
from zkboot.logs import batches, journal, story
from zkboot.logs.batches import Event
from zkboot.logs.journal import Place
from zkboot.logs.ship import Shipper, read_place

NOW = 1_795_354_282_127  # milliseconds since 1970

# --- what belongs where

ENTRY = {
    "__CURSOR": "s=1;i=2a",
    "__SEQNUM": "42",
    "__SEQNUM_ID": "abc",
    "__REALTIME_TIMESTAMP": "1795354282127819",
    "MESSAGE": "one",
    "PRIORITY": "6",
}


@pytest.mark.parametrize(
    ("fields", "stream"),
    [
        ({"_SYSTEMD_UNIT": "zookeeper.service"}, "zookeeper"),
        ({"_SYSTEMD_UNIT": "zkboot-recover.service", "PRIORITY": "7"}, "zkboot-recover"),
        ({"_SYSTEMD_UNIT": "cloud-init-main.service"}, "cloud-init-main"),
        ({"_SYSTEMD_UNIT": "zkboot-recover.service", "SYSLOG_IDENTIFIER": "zkboot-metrics"}, "metrics"),
        ({"_SYSTEMD_UNIT": "init.scope", "_PID": "1", "UNIT": "zookeeper.service", "PRIORITY": "5"}, "zookeeper"),
        ({"_SYSTEMD_UNIT": "init.scope", "_PID": "1", "UNIT": "zkboot-recover.service"}, ""),
        ({"_SYSTEMD_UNIT": "cron.service", "_PID": "7", "UNIT": "zookeeper.service", "PRIORITY": "5"}, ""),
        ({"_TRANSPORT": "kernel", "PRIORITY": "4"}, "kernel"),
        ({"_TRANSPORT": "kernel", "PRIORITY": "5"}, ""),
        ({"_SYSTEMD_UNIT": "chrony.service", "PRIORITY": "3"}, "system"),
        ({"_SYSTEMD_UNIT": "chrony.service"}, ""),
        ({"_SYSTEMD_UNIT": "systemd-journald.service", "_TRANSPORT": "driver", "PRIORITY": "4"}, "system"),
        ({"PRIORITY": ["3", "4"]}, ""),
        ({}, ""),
    ],
    ids=str,
)
def test_an_entry_belongs_to_its_unit_or_to_the_trouble(fields: dict[str, Any], stream: str) -> None:
    assert journal.stream_of({**ENTRY, **fields}) == stream


@pytest.mark.parametrize(
    ("message", "text"),
    [("a\nb", "a\nb"), ([104, 105, 255], "hi\ufffd"), (["a", [98]], "a\nb"), (None, ""), ([], "")],
    ids=str,
)
def test_a_message_is_text_bytes_or_several(message: object, text: str) -> None:
    entry = journal.entry_of(json.dumps({**ENTRY, "MESSAGE": message}).encode())
    assert (entry.message, entry.time, entry.place) == (text, NOW, Place("s=1;i=2a", 42, "abc"))


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b"-- No entries --", b'{"__CURSOR": "a", "__REALTIME_TIMESTAMP": "x"}'])
def test_what_is_no_entry_is_told(line: bytes) -> None:
    with pytest.raises(ZkbootError, match="journalctl said what is no entry"):
        journal.entry_of(line)


def test_what_was_deleted_unshipped_is_counted_where_somebody_counts() -> None:
    assert journal.missing(Place("", 10, "a"), Place("", 11, "a")) == 0
    assert journal.missing(Place("", 10, "a"), Place("", 51, "a")) == 40
    assert journal.missing(Place("", 10, "a"), Place("", 51, "b")) == 0
    assert journal.missing(Place("", 0, ""), Place("", 51, "")) == 0


# --- batches

TEXTS = st.text(max_size=40) | st.sampled_from([131_058, 131_059, 131_060, 400_000]).map("é".__mul__)
TIMES = st.integers(NOW - 3 * batches.LONGEST_SPAN, NOW)


SIZES = st.integers(0, 10) | st.sampled_from([200_000, 262_118])


@given(st.lists(st.builds(Event, TIMES, SIZES.map("x".__mul__)), max_size=30))
def test_every_batch_keeps_every_limit_and_nothing_is_left_out(events: list[Event]) -> None:
    made = list(batches.batches(events))
    assert [each for batch in made for each in batch] == sorted(events, key=lambda e: e.time)
    for batch in made:
        assert 0 < len(batch) <= 10_000
        assert batch[-1].time - batch[0].time < 24 * 3600 * 1000
        assert len(batch) == 1 or sum(len(each.message.encode()) + 26 for each in batch) <= 1_048_576


def test_ten_thousand_and_one_events_are_two_batches() -> None:
    made = list(batches.batches([Event(NOW, str(number)) for number in range(10_001)]))
    assert [len(batch) for batch in made] == [10_000, 1]
    assert [each.message for each in made[0][:3]] == ["0", "1", "2"], "the same time keeps the journal's order"


@given(TEXTS, TIMES)
def test_an_event_is_never_too_large(message: str, time: int) -> None:
    made = batches.event(time, message, NOW)
    if made is None:
        assert not message.strip()
        return
    assert made.size <= 262_144
    if len(message.encode()) <= 262_144 - 26:
        assert made.message == message
    else:
        assert made.message.endswith(f"[cut: {len(message.encode())} bytes in all]") and made.message[:1000] == message[:1000]


def test_nothing_said_is_no_event_and_none_lies_ahead() -> None:
    assert batches.event(NOW, " \n", NOW) is None
    assert batches.event(NOW + 9_000_000, "one", NOW) == Event(NOW, "one")
    assert batches.event(NOW, "\ud800", NOW) == Event(NOW, "?")


# --- where shipping goes on


def test_a_place_that_cannot_be_understood_is_the_beginning(tmp_path) -> None:
    told: list[str] = []
    path = tmp_path / "shipped.json"
    assert read_place(str(path), told.append) is None and not told
    for text in ("", "{}", "[1]", '{"cursor": "a", "number": "x", "numbers": ""}'):
        path.write_text(text)
        assert read_place(str(path), told.append) is None
        assert told.pop().endswith("does not say how far the journal was shipped: all of it is shipped again")
    path.write_text('{"schema": 1, "cursor": "a", "number": 7, "numbers": "b"}')
    assert read_place(str(path), told.append) == Place("a", 7, "b")


def test_without_a_journal_it_says_so(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ZkbootError, match="there is no journal to ship without systemd"):
        Shipper(None, "", str(tmp_path / "place"), print, lambda: False).run()  # type: ignore[arg-type]


def test_a_journal_that_deleted_entries_is_told_of(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for journalctl of systemd 254 and later, which numbers the entries."""
    line = json.dumps({**ENTRY, "__SEQNUM": "50", "_SYSTEMD_UNIT": "zookeeper.service"})
    # The first entry takes its time.
    (tmp_path / "journalctl").write_text(f"#!/bin/sh\nsleep 1\necho '{line}'\nexec sleep 60\n")
    (tmp_path / "journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    path = tmp_path / "shipped.json"
    path.write_text('{"schema": 1, "cursor": "s=1;i=2a", "number": 42, "numbers": "abc"}')
    told: list[str] = []
    put: list[tuple[str, list[Event]]] = []

    class Target:
        def put(self, stream: str, events: Any) -> int:
            put.append((stream, list(events)))
            return 0

    Shipper(Target(), "i-1/", str(path), told.append, lambda: bool(put)).run()
    assert told == ["7 entries of the journal were deleted before they could be shipped, and are lost"]
    assert put[0] == ("i-1/zookeeper", [Event(NOW, "one")]) and json.loads(path.read_text())["number"] == 50


# --- what may be asked


def asked(*argv: str) -> story.Asked:
    return story.of_options(cli.parse(["logs", *argv]))


def test_anywhere_the_cluster_and_the_region_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZKBOOT_CONFIG", raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    found = asked("--cluster", "orders", "--unit", "zookeeper.service", "--instance", "i-0a")
    assert (found.aws.region, found.group, found.unit, found.instance) == ("eu-west-2", "/zkboot/orders", "zookeeper", "i-0a")
    assert asked("--cluster", "orders", "--region", "us-east-1", "--log-group", "x").group == "x"


@pytest.mark.parametrize(
    ("argv", "error", "says"),
    [
        (["--cluster", "Orders!"], UsageError, "--cluster Orders!: a cluster's name is 1 to 40 of a-z"),
        (["--cluster", "orders"], UsageError, "name the region of the cluster: --region, or AWS_REGION"),
        ([], SettingsError, "zkboot logs --cluster NAME --region REGION"),
        (["--cluster", "a", "--region", "b", "--since", "yesterday"], UsageError, "yesterday: write how long ago, such as 90s"),
        (["--cluster", "a", "--region", "b", "--follow", "--until", "1h"], UsageError, "--follow has no end"),
        (["--set", "cluster=a", "--set", "aws.bucket=abc"], UsageError, "aws.log_group is not set"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_said_with_the_next_step(
    argv: list[str], error: type[Exception], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ZKBOOT_CONFIG", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(error) as raised:
        asked(*argv)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("text", "ago"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("3d", 259_200), ("2026-11-22T13:31:22Z", 0.127), ("2026-11-22T13:31:22", 0.127)],
)
def test_an_instant_is_a_time_ago_or_itself(text: str, ago: float) -> None:
    assert story.instant_of(text, NOW / 1000) == NOW - round(ago * 1000)
