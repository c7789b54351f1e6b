"""The logs that the README teaches with are such as are really said."""

import re
from pathlib import Path

from tests.cloudinit.members import joined_beside
from tests.cloudinit.story import hold
from tests.cloudinit.test_in_vain import FULL, third_missing

README = Path(__file__).resolve().parents[2] / "README.md"


def logs() -> list[list[str]]:
    """Each block of stamped lines under "Reading a boot"."""
    (section,) = re.findall(r"^## Reading a boot\n(.*?)^## ", README.read_text(), re.DOTALL | re.MULTILINE)
    blocks = re.findall(r"(?:^    20.*\n)+", section, re.MULTILINE)
    return [[line.strip() for line in block.splitlines()] for block in blocks]


def test_each_line_is_one_that_zkboot_says() -> None:
    joined, in_vain = logs()
    hold(joined, *joined_beside("i-0b2", 3))
    hold(in_vain, *third_missing(r"i-0a1 \(10\.0\.1\.4\), i-0b2 \(10\.0\.2\.4\)", rf"; the group says: {FULL}"))
