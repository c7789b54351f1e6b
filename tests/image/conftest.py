"""The built image, as the files that an instance boots with."""

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.full.conftest import golden  # noqa: F401 (a fixture: it builds the image, or skips and says why)
from tests.lab.full.ec2 import Image


@pytest.fixture(scope="session")
def image(golden: Image) -> Iterator[Path]:  # noqa: F811
    """The root folder of the image of this checkout, read-only."""
    with mounted(golden.layers) as root:
        yield root


@contextmanager
def mounted(layers: Sequence[Path]) -> Iterator[Path]:
    """The layers of a disk, the lowest first, as the folder that they make together."""
    with tempfile.TemporaryDirectory(prefix="zkboot-image-") as name:
        lower = ":".join(str(layer) for layer in reversed(layers))
        subprocess.run(["mount", "-t", "overlay", "-o", f"ro,lowerdir={lower}", "overlay", name], check=True)
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", name], check=True)
