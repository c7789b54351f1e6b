#!/usr/bin/env python3
"""Fetch ZooKeeper from Maven Central into the cache, each jar held to its pin in SHA256SUMS.

    fetch.py            fetch it unless it is there, whole and as pinned; print its home
    fetch.py --present  only say by the exit code whether it is there
    fetch.py pin        after a change of pom.xml: write SHA256SUMS anew from what Maven brings (read the difference)

The home is ${XDG_CACHE_HOME:-~/.cache}/zkboot/zookeeper-<version>, laid out like Apache's binary distribution: lib/*.jar
and conf/logback.xml. Maven's own repository lies beside it; the machine's Maven settings apply as they are.
Standard library only: an image build runs this without a virtual environment. Exit codes: 0 done, 1 failed, 2 usage.
"""

from __future__ import annotations

import fcntl
import filecmp
import hashlib
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

HERE = Path(__file__).resolve().parent
POM = HERE / "pom.xml"
PINS = HERE / "SHA256SUMS"
# What a home holds beside its jars, and from which file here: a home where one differs was made for another state of this folder.
KEPT_BESIDE = {"SHA256SUMS": PINS, "conf/logback.xml": HERE / "logback.xml"}
COPY_DEPENDENCIES = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"


class FetchError(Exception):
    """What could not be fetched or is not what it was pinned to be, and what to do about it."""


def main(arguments: list[str]) -> int:
    try:
        match arguments:
            case []:
                print(fetch())
            case ["--present"]:
                return 0 if is_current(home()) else 1
            case ["pin"]:
                pin()
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except FetchError as error:
        print(f"packer/zookeeper: {error}", file=sys.stderr)
        return 1
    return 0


def fetch() -> Path:
    """The home, fetched unless it is there already. Raises FetchError where a jar is missing, unpinned or not as pinned."""
    target = home()
    cache = target.parent
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".fetch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        partial = cache / f"{target.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        if is_current(target):
            verify(target / "lib")
            return target
        copy_jars(partial / "lib", cache / "maven")
        verify(partial / "lib")
        for name, source in KEPT_BESIDE.items():
            (partial / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(source, partial / name)
        replace(target, partial)
    return target


def home() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    version = ElementTree.parse(POM).findtext("{http://maven.apache.org/POM/4.0.0}version")
    return cache / "zkboot" / f"zookeeper-{version}"


def is_current(target: Path) -> bool:
    return all(same(target / name, source) for name, source in KEPT_BESIDE.items())


def same(one: Path, other: Path) -> bool:
    return one.is_file() and filecmp.cmp(one, other, shallow=False)


def verify(folder: Path) -> None:
    """Raises FetchError unless the folder holds the pinned jars and nothing else, naming each one that differs."""
    pinned = {name: digest for digest, name in (line.split() for line in PINS.read_text().splitlines())}
    found = digests(folder)
    wrong = [
        f"  {name}: pinned {pinned.get(name, 'nothing')}, found {found.get(name, 'nothing')}"
        for name in sorted(pinned | found)
        if pinned.get(name) != found.get(name)
    ]
    if wrong:
        raise FetchError(
            "\n".join([f"not what {PINS.name} pins, in {folder}:", *wrong])
            + f"\nIt is not used. Remove {home()} and {home().parent / 'maven'}, and run this again; where it differs again, "
            "somebody changed the artifact or the pin: find out which before you trust either."
        )


def digests(folder: Path) -> dict[str, str]:
    return {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in folder.glob("*")}


def copy_jars(folder: Path, repository: Path) -> None:
    name = home().name
    if shutil.which("mvn") is None:
        raise FetchError(f"Maven fetches {name}, and there is no mvn on the PATH: install Maven and run this again.")
    print(f"fetching {name} with Maven", file=sys.stderr)
    quiet = ["--quiet", "--batch-mode", "-Dstyle.color=never"]
    options = [f"-Dmaven.repo.local={repository}", "-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
    command = ["mvn", *quiet, "--file", str(POM), *options, COPY_DEPENDENCIES]
    maven = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if maven.returncode != 0:
        said = re.sub(r"\x1b\[\d*m", "", maven.stdout)
        raise FetchError(f"Maven could not fetch {name}: see that it reaches Maven Central and run this again. It says:\n{said}")


def replace(target: Path, new: Path) -> None:
    """Put the folder `new` in the place of `target` by renaming, so that no half of either is ever there."""
    old = target.parent / f"{target.name}.old"
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def pin() -> None:
    cache = home().parent
    folder = cache / "pinning"
    shutil.rmtree(folder, ignore_errors=True)
    copy_jars(folder, cache / "maven")
    PINS.write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(digests(folder).items())))
    shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
