"""What zkboot says to systemd, heard on a socket of one's own."""

import socket
from pathlib import Path

import pytest

from zkboot import systemd


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_it_asks_for_more_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    name = f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name if abstract else name)
        listener.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name if abstract else name)
        systemd.ask_for_time(90.5)
        assert listener.recv(100) == b"EXTEND_TIMEOUT_USEC=90500000"


def test_without_systemd_or_without_its_ear_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.ask_for_time(1.0)
    monkeypatch.setenv("NOTIFY_SOCKET", f"{tmp_path}/nobody")
    systemd.ask_for_time(1.0)
