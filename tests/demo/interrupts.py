"""Ctrl-C, once: the first one begins the end, those after it change nothing while things are put away."""

import signal
from types import FrameType
from typing import NoReturn

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def catch() -> None:
    for number in ENDINGS:
        signal.signal(number, _interrupt)


def ignore() -> None:
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    ignore()
    raise KeyboardInterrupt
