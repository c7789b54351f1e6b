"""Two built images, file by file: .venv/bin/python -m tests.image.compare ONE OTHER

Type, mode, owner, size and content of each file count; times do not. Exit codes: 0 the same, 1 not, 2 usage.
"""

import hashlib
import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# What may differ, as a pattern of the path, and why.
EXCLUDED = {
    r"opt/zookeeper-[^/]+/zookeeper\.jsa": "the JVM's own memory: random addresses, classes as threads loaded them",
    r"etc/ssl/certs/java/cacerts": "keytool's store holds the moment at which each certificate was added",
}


class File(NamedTuple):
    """What of a file must be the same. `content` is a hash, a link's target, or empty."""

    mode: int
    owner: int
    group: int
    size: int
    content: str


def differences(one: Path, other: Path) -> list[str]:
    """A line for each file that is not the same in both and not excluded."""
    first, second = dict(files(one)), dict(files(other))
    return [
        f"{path}: {first.get(path, 'absent')} / {second.get(path, 'absent')}"
        for path in sorted(first.keys() | second.keys())
        if first.get(path) != second.get(path) and not any(re.fullmatch(pattern, path) for pattern in EXCLUDED)
    ]


def files(root: Path) -> Iterator[tuple[str, File]]:
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = Path(folder, name)
            found = path.lstat()
            size, content = 0, ""
            if stat.S_ISREG(found.st_mode):
                size, content = found.st_size, hashlib.sha256(path.read_bytes()).hexdigest()
            elif stat.S_ISLNK(found.st_mode):
                content = os.readlink(path)
            yield str(path.relative_to(root)), File(found.st_mode, found.st_uid, found.st_gid, size, content)


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    found = differences(*map(Path, arguments))
    print("\n".join(found) or "the same but for what is excluded:")
    for pattern, reason in EXCLUDED.items():
        print(f"  not compared: {pattern} ({reason})")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
