"""Our units, judged by the image's own systemd."""

import re
from pathlib import Path

import pytest

from tests.image.tools import PACKER, inside, run

HIGHEST_EXPOSURE = 3.0
UNITS = sorted(path.name for path in (PACKER / "files").iterdir() if path.suffix in (".service", ".timer"))
SERVICES = [name for name in UNITS if name.endswith(".service")]


def test_they_are_right(image: Path) -> None:
    done = inside(image, "systemd-analyze", "verify", "--man=no", *UNITS)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("unit", SERVICES)
def test_they_are_hardened(image: Path, unit: str) -> None:
    threshold = f"--threshold={round(HIGHEST_EXPOSURE * 10)}"
    done = inside(image, "systemd-analyze", "security", "--no-pager", "--offline=true", threshold, unit)
    assert done.returncode == 0, done.stdout
    told = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert told and float(told[1]) <= HIGHEST_EXPOSURE


def test_nothing_of_ours_starts_before_zkboot_timers(image: Path) -> None:
    for unit in (*SERVICES, *(name for name in UNITS if name.endswith(".timer"))):
        assert run("systemctl", f"--root={image}", "is-enabled", unit).stdout.strip() in ("static", "disabled"), unit


def test_none_waits_for_the_end_of_cloud_init() -> None:
    for unit in UNITS:
        assert not re.search(
            r"^(After|Requires|Wants)=.*(cloud|network-online|multi-user)", (PACKER / "files" / unit).read_text(), re.MULTILINE
        )
