"""Cold backups and drills, typed on machines of a lab group, beside clients that write."""

import json
import re
import signal
from collections.abc import Iterator

import pytest

from tests.backup.bucket import MANIFEST, names, prefix
from tests.lab import processes
from tests.lab.group import Group
from tests.lab.ledger import Ledger
from tests.lab.region import BUCKET, Region

COLD = ("--set", "backup.mode=cold")


@pytest.fixture(scope="module")
def zk() -> Iterator[Group]:
    with Region() as region:
        group = region.group(size=3)
        group.wait_serving(3)
        yield group


def manifest(zk: Group, name: str) -> dict[str, object]:
    body = zk.region.client("s3").get_object(Bucket=BUCKET, Key=f"{prefix(zk)}{name}{MANIFEST}")["Body"].read()
    found: dict[str, object] = json.loads(body)
    return found


def test_one_followers_server_is_stopped_and_started_again(zk: Group) -> None:
    leader, follower = zk.leader(), zk.followers()[0]
    assert leader is not None
    with Ledger(zk) as ledger:
        ledger.wait_writing(120)
        before = follower.server_pid
        done = follower.zkboot("backup", *COLD)
        assert done.returncode == 0, done.stdout
        zk.wait_serving(3)
        ledger.wait_writing(60)
    assert not ledger.report.lost
    (name,) = names(zk)
    assert manifest(zk, name)["mode"] == "cold" and names(zk, ".verified.json") == {name}
    assert follower.server_pid != before and zk.leader() is leader
    assert re.search(r"stopping server \d for a cold backup; the others serve", done.stdout)
    assert done.stdout.index("the server is started again") < done.stdout.index(f"verified {name}")
    assert re.search(rf"^{name} .* cold ", leader.zkboot("backups").stdout, re.MULTILINE)

    refused = leader.zkboot("backup", *COLD)
    assert refused.returncode == 3 and "no cold backup: this node leads" in refused.stdout, refused.stdout


@pytest.mark.long
def test_not_while_it_would_cost_the_quorum(zk: Group) -> None:
    one, other = zk.followers()
    one.freeze_zkboot()
    one.kill_server()
    try:
        with Ledger(zk) as ledger:
            ledger.wait_writing(20)
        done = other.zkboot("backup", *COLD)
        assert done.returncode == 3 and "no cold backup: 1 of 3 voters would be left, which is no quorum" in done.stdout, (
            done.stdout
        )
        assert other.server_pid
    finally:
        one.thaw_zkboot()
    zk.wait_serving(3)


@pytest.mark.parametrize(
    "at",
    [
        "after:begin upload",
        pytest.param("after:stop server", marks=pytest.mark.long),
        pytest.param("before:start server", marks=pytest.mark.long),
    ],
)
def test_killed_while_the_server_is_stopped_recovery_starts_it(zk: Group, at: str) -> None:
    with Ledger(zk) as ledger:
        ledger.wait_writing(60)
    follower = zk.followers()[0]
    before = names(zk)
    follower.stop_at_step(f"{at}:kill")
    assert follower.zkboot("backup", *COLD).returncode == -signal.SIGKILL
    zk.wait_serving(3)
    assert names(zk) - before <= names(zk)
    done = follower.zkboot("backup", *COLD)
    assert done.returncode == 0, done.stdout
    zk.wait_serving(3)
    assert not zk.region.client("s3").list_multipart_uploads(Bucket=BUCKET).get("Uploads")


@pytest.mark.long
def test_a_bucket_that_denies_in_the_middle(zk: Group) -> None:
    with Ledger(zk) as ledger:
        ledger.wait_writing(60)
    follower, before = zk.followers()[0], names(zk)
    with zk.region.deny("s3:PutObject", follower) as fault:
        fault.only = lambda environ: environ["PATH_INFO"].endswith(".tar.gz")
        done = follower.zkboot("backup", *COLD)
    assert done.returncode == 3 and "the server is started again" in done.stdout, done.stdout
    assert "the instance role needs s3:PutObject there" in done.stdout and names(zk) == before
    zk.wait_serving(3)


# --- drills


def test_a_drill_is_due_once_a_week_on_one_node(zk: Group) -> None:
    with Ledger(zk) as ledger:
        ledger.wait_writing(60)
    leader = zk.leader()
    assert zk.followers()[0].zkboot("backup").returncode == 0
    name = max(names(zk))
    started = {machine: machine.start_zkboot("verify", "--drill", "--scheduled") for machine in zk.living}
    said = {machine: process.communicate(timeout=120)[0] for machine, process in started.items()}
    drillers = [machine for machine, text in said.items() if f"drilled {name}: a server started from it holds" in text]
    assert len(drillers) == 1 and drillers[0] is not leader, said
    others = [text for machine, text in said.items() if machine is not drillers[0]]
    assert all("no drill from here: it is server " in text or "no drill is due" in text for text in others), said
    for machine in zk.living:
        assert "no drill is due: the next one in 7 d" in machine.zkboot("verify", "--drill", "--scheduled").stdout
    (entry,) = [row for row in map(json.loads, leader.zkboot("backups", "--json").stdout.splitlines()) if row["name"] == name]
    assert entry["drilled"] and entry["verified"]


@pytest.mark.parametrize(
    "at",
    [
        "after:start scratch server",
        *(
            pytest.param(f"{step}", marks=pytest.mark.long)
            for step in ("before:unpack", "after:unpack", "before:start scratch server")
        ),
    ],
)
def test_what_a_killed_drill_left_is_removed_by_the_next_look(zk: Group, at: str) -> None:
    machine = zk.followers()[0]
    machine.stop_at_step(f"{at}:kill")
    assert machine.zkboot("verify", "--drill").returncode == -signal.SIGKILL
    state = machine.root / "var/zkboot"
    assert machine.server_pid
    assert (state / "drill").exists()
    assert "no drill is due" in machine.zkboot("verify", "--drill", "--scheduled").stdout
    assert not (state / "drill").exists()
    servers = {pid for pid in processes.every() if any(f"{machine.root}/" in word for word in processes.command_line(pid)[1:2])}
    assert servers == {machine.server_pid}, "the scratch server is gone, the node's own is not"
