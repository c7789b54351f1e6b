"""What makes the two commands trustworthy: pins that hold, locks that are whole and name no place."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FETCH = ROOT / "packer/zookeeper/fetch.py"
LOCKS = ["node", "dev"]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache of our own with the real ZooKeeper's jars in it."""
    told = subprocess.run([sys.executable, FETCH, "--present"], check=False)
    if told.returncode != 0:
        pytest.skip("ZooKeeper is not in the cache (ZOOKEEPER_HOME is used instead?): make zookeeper fetches it")
    home = Path(subprocess.run([sys.executable, FETCH], check=True, capture_output=True, text=True).stdout.strip())
    copied = tmp_path / "zkboot" / home.name
    shutil.copytree(home, copied, ignore=shutil.ignore_patterns("*.jsa", ".training-*"))
    return tmp_path


def fetch(cache: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    return subprocess.run([sys.executable, FETCH], check=False, capture_output=True, text=True, env=environment)


def test_a_whole_home_is_taken_as_it_is(cache: Path) -> None:
    done = fetch(cache)
    assert (done.returncode, done.stderr) == (0, "")
    assert Path(done.stdout.strip()).parent == cache / "zkboot"


def test_a_changed_jar_is_refused_by_name_with_both_hashes(cache: Path) -> None:
    jar = next(cache.glob("zkboot/zookeeper-*/lib/zookeeper-jute-*.jar"))
    pinned = hashlib.sha256(jar.read_bytes()).hexdigest()
    jar.write_bytes(jar.read_bytes() + b"x")
    found = hashlib.sha256(jar.read_bytes()).hexdigest()
    done = fetch(cache)
    assert done.returncode == 1
    assert f"{jar.name}: pinned {pinned}, found {found}" in done.stderr


def test_a_jar_that_nobody_pinned_is_refused(cache: Path) -> None:
    lib = next(cache.glob("zkboot/zookeeper-*/lib"))
    (lib / "stranger.jar").write_bytes(b"x")
    done = fetch(cache)
    assert done.returncode == 1
    assert "stranger.jar: pinned nothing, found" in done.stderr


@pytest.mark.parametrize("name", LOCKS)
def test_each_locked_dependency_has_its_hashes_and_no_place(name: str) -> None:
    lock = (ROOT / f"requirements/{name}.txt").read_text()
    assert not re.search(r"://|--index-url|--find-links| @ |^\s*[^#\s].*\s/", lock, re.MULTILINE)
    entries = re.split(r"^(?=[a-z0-9])", lock, flags=re.IGNORECASE | re.MULTILINE)[1:]
    assert entries
    assert [entry.split("==")[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_a_node_gets_what_the_package_asks_for() -> None:
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    named = [line for line in (ROOT / "requirements/node.in").read_text().splitlines() if line and not line.startswith("#")]
    assert sorted(asked) == sorted(named)
