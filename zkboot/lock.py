"""The node lock: one turn at a time on a node.

`flock` on `<state_dir>/lock`: the kernel releases it when its holder dies, however that happens, and close-on-exec keeps it
from being inherited by a server that the holder starts.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from zkboot.errors import WAITING, ZkbootError
from zkboot.world import Clock

PAUSE = 0.2  # seconds from one attempt to the next


class Busy(ZkbootError):
    """Another zkboot holds the node's lock; it does what this one would have done."""

    exit_code = WAITING


@contextmanager
def node_lock(state_dir: str, patience: float, say: Callable[[str], None], clock: Clock) -> Iterator[None]:
    """Hold the lock; wait for it up to `patience` seconds.

    Raises Busy naming the holder when it is still held then, ZkbootError where no lock can be made.
    """
    lock = _open(os.path.join(state_dir, "lock"))
    try:
        deadline = clock.monotonic() + patience
        while not _taken(lock):
            sentence = f"another zkboot (pid {os.pread(lock, 20, 0).decode().strip() or 'unknown'}) is at work on this node"
            if clock.monotonic() >= deadline:
                raise Busy(f"{sentence}; nothing was done")
            say(f"waiting: {sentence}")
            clock.sleep(PAUSE)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(lock)


def _open(path: str) -> int:
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        advice = "zkboot runs as root, and node.state_dir must be on a disk to write on"
        raise ZkbootError(f"{path}: the node's lock cannot be opened: {error.strerror}; {advice}") from error


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
