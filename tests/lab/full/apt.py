"""Where Debian's packages come from: this machine's own mirrors, which no image ever names.

In the lab the archive has a name of its own, which only the lab's proxy leads anywhere.
"""

import re
from pathlib import Path
from typing import NamedTuple

from tests.lab.errors import NotPossibleHere

DEBIAN = "http://archive.lab/debian"
SECURITY = "http://archive.lab/debian-security"
SOURCES = Path("/etc/apt")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Mirrors(NamedTuple):
    debian: str
    security: str

    def place_of(self, url: str) -> str:
        """The address here of what an image knows by the lab's name; other addresses stay."""
        for public, own in ((SECURITY, self.security), (DEBIAN, self.debian)):
            if url.startswith(public + "/"):
                return own + url.removeprefix(public)
        return url


def mirrors() -> Mirrors:
    """As this machine's apt is told. Raises NotPossibleHere where it is told of none (not a Debian)."""
    files = [SOURCES / "sources.list", *sorted((SOURCES / "sources.list.d").glob("*"))]
    text = "\n".join(file.read_text(errors="replace") for file in files if file.is_file())
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))

    def told(name: str) -> str:
        found = re.search(rf"\bhttps?://\S+/{name}(?=/?(\s|$))", lines)
        if found is None:
            raise NotPossibleHere(
                f"this machine's apt knows no mirror whose address ends with /{name}: the image is built on Debian"
            )
        return found[0]

    return Mirrors(told("debian"), told("debian-security"))


def sources(where: Mirrors, release: str) -> str:
    """As deb822 (sources.list(5))."""
    text = f"Types: deb\nURIs: {where.debian}\nSuites: {release} {release}-updates\nComponents: main\nSigned-By: {KEYRING}\n"
    return text + f"\nTypes: deb\nURIs: {where.security}\nSuites: {release}-security\nComponents: main\nSigned-By: {KEYRING}\n"


IN_THE_LAB = Mirrors(DEBIAN, SECURITY)


def leniency() -> tuple[str, ...]:
    """What this machine's apt was told about dates in package lists (a frozen mirror needs it), as lines of apt.conf(5)."""
    found: list[str] = []
    for file in sorted((SOURCES / "apt.conf.d").glob("*")):
        found += re.findall(r"^\s*(Acquire::Check-(?:Valid-Until|Date)\s+\S+;)", file.read_text(errors="replace"), re.MULTILINE)
    return tuple(sorted(set(found)))
