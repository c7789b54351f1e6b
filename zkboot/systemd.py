"""What zkboot says to systemd, where that runs it: sd_notify(3), one datagram to $NOTIFY_SOCKET."""

import contextlib
import os
import socket


def ask_for_time(seconds: float) -> None:
    """This unit's start may go on for that long from now, whatever its TimeoutStartSec; nothing where nobody listens."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
        speaker.sendto(f"EXTEND_TIMEOUT_USEC={seconds * 1e6:.0f}".encode(), address)
