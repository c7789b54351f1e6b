"""Programs that the tests here need beside Python: found, or a skip that names what is missing."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKER = ROOT / "packer"


def need(program: str) -> str:
    """Its path. Skips, naming it, where it is not on the PATH."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not on the PATH: what it would check is NOT checked here")
    return path


def run(*command: str | Path, **options: object) -> "subprocess.CompletedProcess[str]":
    """Both streams in `stdout`; it never fails by itself."""
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [str(part) for part in command],
        check=False,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **options,
    )


def inside(image: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of the image in it. The image stays as it is: what is written goes into folders that end with the command."""
    script = (
        "mount -t proc proc $0/proc; for folder in run tmp; do mount -t tmpfs tmpfs $0/$folder; done; exec chroot $0 " + '"$@"'
    )
    return run("unshare", "--mount", "sh", "-euc", script, image, *command)
