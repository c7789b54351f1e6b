"""Backups come back: into an ensemble that serves, after all disks are lost, and not where they must not."""

from typing import Any

import pytest

from tests.lab import ensemble
from tests.lab.group import Group
from tests.lab.ledger import ROOT
from tests.lab.machines import Machine
from tests.lab.region import Region
from tests.scenarios.story import LONG, created_once, every_write_kept, record
from tests.scenarios.survivors import archived, written

CONFIRM = ("--confirm", "zk")
MANIFEST = ".manifest.json"


def prefix(zk: Group) -> str:
    return f"backups/{zk.plan.cluster}/"


def names(zk: Group) -> set[str]:
    """Of the backups."""
    keys = zk.region.objects(prefix(zk))
    return {key.removeprefix(prefix(zk)).removesuffix(MANIFEST) for key in keys if key.endswith(MANIFEST)}


def backed_up(zk: Group) -> tuple[str, set[str]]:
    """Writes, and a backup of them: its name, and the znodes that are in it."""
    with every_write_kept(zk):
        pass
    before, there = names(zk), written(zk)
    made = zk.followers()[0].zkboot("backup", timeout=LONG)
    assert made.returncode == 0, made.stdout
    (name,) = names(zk) - before
    return name, there


def test_a_backup_replaces_what_serves(zk: Group) -> None:
    generation = record(zk)["generation"]
    name, held = backed_up(zk)
    with every_write_kept(zk):
        pass  # what is written after the backup is given up
    later = written(zk) - held
    typing = zk.followers()[0]
    live = typing.zkboot("restore", *CONFIRM)
    assert live.returncode == 1 and "--replace-live" in live.stdout
    done = typing.zkboot("restore", "--replace-live", *CONFIRM, timeout=LONG)
    assert done.returncode == 0, done.stdout
    print(done.stdout)
    with every_write_kept(zk):
        zk.wait_serving(3, LONG)
    created_once(zk, generation + 1)
    assert held <= written(zk) and later and not later & written(zk)
