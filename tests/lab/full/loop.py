"""A file as a block device (linux/loop.h), which the kernel gives back by itself when nobody has it open or mounted any more."""

import fcntl
import os
import struct
import tempfile
from pathlib import Path

from tests.lab.errors import NotPossibleHere

LOOP_CONFIGURE = 0x4C0A
LOOP_CTL_GET_FREE = 0x4C82
AUTOCLEAR = 4
# struct loop_config: backing descriptor, block size, struct loop_info64 (its 13th field are the flags), eight reserved words
CONFIG = struct.Struct("=II QQQQQ IIII 64s 64s 32s QQ 8Q")
ATTEMPTS = 10  # another process may take the free number first


def why_not() -> str:
    """Why there are no loop devices here; "" when there are."""
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(1 << 20)
        try:
            os.close(attach(Path(file.name))[1])
        except NotPossibleHere as reason:
            return str(reason)
    return ""


def attach(file: Path) -> tuple[str, int]:
    """The device's path and a descriptor that holds it. Raises NotPossibleHere."""
    backing = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    try:
        return _attach(backing, file)
    except OSError as error:
        raise NotPossibleHere(f"no loop device for {file}: {error}") from error
    finally:
        os.close(backing)


def _attach(backing: int, file: Path) -> tuple[str, int]:
    name = os.fsencode(file)[-63:]
    config = CONFIG.pack(backing, 0, *([0] * 8), AUTOCLEAR, name, b"", b"", 0, 0, *([0] * 8))
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for attempt in range(ATTEMPTS):
            path = f"/dev/loop{fcntl.ioctl(control, LOOP_CTL_GET_FREE)}"
            device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, LOOP_CONFIGURE, config)
                return path, device
            except OSError:
                os.close(device)
                if attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("not reached")
    finally:
        os.close(control)
