"""`zkboot backup`, `backups` and `verify` as they are typed on machines of a lab group, and what a kill at any step leaves."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backup.bucket import MANIFEST, names, prefix
from tests.lab.group import DEADLINE, Group
from tests.lab.ledger import Ledger
from tests.lab.region import BUCKET, REGION, Region
from zkboot import older_keys
from zkboot.aws import backups as s3
from zkboot.backup import making, progress, verify

STEPS = [
    name
    for module in (making, s3, verify)
    for name in re.findall(r'step\("([^"]+)"\)', Path(module.__file__).read_text())
    if name not in ("abort upload", "mark current", "mark damaged")  # of the stories below
]


@pytest.fixture(scope="module")
def zk() -> Iterator[Group]:
    with Region() as region:
        group = region.group(size=3)
        group.wait_serving(3)
        yield group


def unfinished(zk: Group) -> list[Any]:
    return list(zk.region.client("s3").list_multipart_uploads(Bucket=BUCKET).get("Uploads", ()))


def write(zk: Group) -> None:
    with Ledger(zk) as ledger:
        ledger.wait_writing()


def test_what_a_person_types(zk: Group) -> None:
    leader, follower = zk.leader(), zk.followers()[0]
    assert leader is not None
    told = leader.zkboot("backups")
    assert (told.returncode, told.stdout) == (0, "there is no backup; zkboot backup makes one\n")
    told = leader.zkboot("verify")
    assert told.returncode == 1 and "there is no backup under s3://" in told.stdout

    write(zk)
    made = follower.zkboot("backup")
    assert made.returncode == 0, made.stdout
    (name,) = names(zk)
    assert (
        re.search(rf"backup {name}, up to 0x1[0-9a-f]+: .*/s", made.stdout)
        and f"verified {name} to its last record" in made.stdout
    )
    assert names(zk, ".verified.json") == {name} and not unfinished(zk)

    told = leader.zkboot("backups")
    assert told.returncode == 0 and re.search(rf"^{name} +\d.* hot +20\d\d-", told.stdout, re.MULTILINE), told.stdout
    (entry,) = [json.loads(line) for line in leader.zkboot("backups", "--json").stdout.splitlines()]
    assert entry["name"] == name and entry["verified"] and entry["had_quorum"] and entry["current"] is None
    checked = leader.zkboot("verify", name)
    assert checked.returncode == 0 and f"verified {name} to its last record" in checked.stdout

    again = leader.zkboot("backup")
    assert again.returncode == 0 and f"nothing was written since backup {name}: it is still current" in again.stdout, again.stdout
    assert names(zk) == {name} == names(zk, ".current.json")
    assert "current as of" in leader.zkboot("backups").stdout
    for machine in zk.living:
        assert "no backup is due: the next one in 24 h" in machine.zkboot("backup", "--scheduled").stdout
    assert zk.region.gateway.refused == []


def test_the_timers_of_all_nodes_at_once_make_one_backup(zk: Group) -> None:
    for key in zk.region.objects(prefix(zk)):
        zk.region.client("s3").delete_object(Bucket=BUCKET, Key=key)
    write(zk)
    leader = zk.leader()
    started = {machine: machine.start_zkboot("backup", "--scheduled") for machine in zk.living}
    said = {machine: process.communicate(timeout=DEADLINE)[0] for machine, process in started.items()}
    assert [process.returncode for process in started.values()] == [0, 0, 0], said
    (name,) = names(zk)
    makers = [machine for machine, text in said.items() if f"verified {name} to its last record" in text]
    assert len(makers) == 1 and makers[0] is not leader
    others = [text for machine, text in said.items() if machine is not makers[0]]
    assert all("'s turn; this one's comes in " in text or "no backup is due" in text for text in others), said


def test_a_terminal_sees_a_bar_and_the_line_that_stays(zk: Group) -> None:
    write(zk)
    machine = zk.followers()[0]
    assert machine.zkboot("backup").returncode == 0
    ours, theirs = pty.openpty()
    command = [*machine.command, "verify"]
    process = subprocess.Popen(
        command, cwd=machine.root, env=machine.typed_environment(), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    drawn = ""
    with os.fdopen(ours, "rb", buffering=0) as terminal, contextlib.suppress(OSError):  # EIO is its end
        while piece := terminal.read(1000):
            drawn += piece.decode()
    assert process.wait(DEADLINE) == 0, drawn
    bar, _, rest = drawn.partition(progress.CLEARED)[2].rpartition(progress.CLEARED)
    assert re.search(r"verifying \w+ \[[#-]+\] .* of .*/s, .* left", bar) and re.search(
        r"Z verified \w+ to its last record, .*/s\)", rest
    ), drawn


def test_the_older_tools_keys_reach_a_bucket_that_the_instance_role_does_not(zk: Group) -> None:
    """They lie in one file, for its owner alone, and are nowhere else: no log, no other process, not what a person is shown."""
    write(zk)
    machine, elsewhere = zk.followers()[0], "older-tools-bucket"
    place, kept = machine.root / "etc/zkboot.toml", machine.root / "var/zkboot/credentials"
    zk.region.client("s3").create_bucket(Bucket=elsewhere, CreateBucketConfiguration={"LocationConstraint": REGION})
    key = access_key(zk, elsewhere)
    before = place.read_text()
    there = before + f'\n[backup]\nbucket = "{elsewhere}"\n'
    place.write_text(f'{there}aws_access_key = "{key["AccessKeyId"]}"\naws_secret_key = "{key["SecretAccessKey"]}"\n')
    done = machine.zkboot("backup")
    assert done.returncode == 0 and "verified " in done.stdout, done.stdout
    assert f"warning: {place} holds keys of AWS (backup.aws_access_key), as the older tool's settings did" in done.stdout
    assert kept.stat().st_mode & 0o777 == 0o600 and key["SecretAccessKey"] in kept.read_text()
    shown = machine.zkboot("config").stdout
    assert re.search(rf'^backup.profile +"{older_keys.PROFILE}"', shown, re.MULTILINE)
    files = {path: path.read_bytes() for path in machine.root.rglob("*") if path.is_file() and path not in (place, kept)}
    files |= {path: path.read_bytes() for path in (Path(f"/proc/{machine.server_pid}/environ"),)}
    told = {"backup": done.stdout.encode(), "config": shown.encode(), **files}
    words = [key[name].encode() for name in ("AccessKeyId", "SecretAccessKey")]
    assert not [name for name, text in told.items() if any(word in text for word in words)]
    place.write_text(there)
    refused = machine.zkboot("backups")
    assert refused.returncode == 3 and "the instance role needs s3:ListBucket" in refused.stdout and not kept.exists()
    place.write_text(before)


def test_the_copies_are_listed_and_verified_where_they_are(zk: Group, tmp_path: Path) -> None:
    machine, elsewhere = zk.followers()[0], "copies-of-another"
    zk.region.client("s3").create_bucket(Bucket=elsewhere, CreateBucketConfiguration={"LocationConstraint": REGION})
    key = access_key(zk, elsewhere)
    profile = f"[vault]\naws_access_key_id = {key['AccessKeyId']}\naws_secret_access_key = {key['SecretAccessKey']}\n"
    (tmp_path / "credentials").write_text(profile)
    machine.set_environment(AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "credentials"))
    there = ("--set", f"backup.copy_bucket={elsewhere}", "--set", "backup.copy_profile=vault")
    none = machine.zkboot("backups", "--copies")
    assert none.returncode == 2 and "there is no second bucket: backup.copy_bucket names none" in none.stdout
    assert "there is no backup" in machine.zkboot("backups", "--copies", *there).stdout
    write(zk)
    done = machine.zkboot("backup", *there)
    name = max(names(zk))
    assert done.returncode == 0 and re.search(rf"copied {name} to s3://{elsewhere}/{prefix(zk)}: .*/s\)", done.stdout), (
        done.stdout
    )
    (copy,) = [json.loads(line) for line in machine.zkboot("backups", "--copies", "--json", *there).stdout.splitlines()]
    assert copy["name"] == name and copy["verified"]
    checked = machine.zkboot("verify", "--copies", *there)
    assert checked.returncode == 0 and f"verified {name} to its last record" in checked.stdout
    wrong = machine.zkboot("verify", "--copies", "--drill", "--scheduled", *there)
    assert wrong.returncode == 2 and "leave --copies or --scheduled out" in wrong.stdout
    machine.set_environment(AWS_SHARED_CREDENTIALS_FILE=None)


def access_key(zk: Group, bucket: str) -> dict[str, Any]:
    """Of a user who may do everything with that bucket, and nothing else."""
    iam, resources = zk.region.client("iam"), [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    iam.create_user(UserName=bucket)
    may = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": resources}]}
    iam.put_user_policy(UserName=bucket, PolicyName="bucket", PolicyDocument=json.dumps(may))
    found: dict[str, Any] = iam.create_access_key(UserName=bucket)["AccessKey"]
    return found


def test_a_manifest_that_cannot_be_read(zk: Group) -> None:
    """It is listed with the reason, found damaged by who reads it back, and the next backup is another one."""
    machine = zk.living[0]
    write(zk)
    assert machine.zkboot("backup").returncode == 0
    zk.region.client("s3").put_object(Bucket=BUCKET, Key=f"{prefix(zk)}20300101T000000Z{MANIFEST}", Body=b"{}")
    told = machine.zkboot("backups")
    assert told.returncode == 1 and "20300101T000000Z.manifest.json: not a manifest of schema 1" in told.stdout, told.stdout
    (bad,) = [line for line in map(json.loads, machine.zkboot("backups", "--json").stdout.splitlines()) if "error" in line]
    assert bad["name"] == "20300101T000000Z" and "not a manifest" in bad["error"]
    told = machine.zkboot("verify", "--latest")
    assert told.returncode == 1 and "20300101T000000Z.manifest.json: not a manifest" in told.stdout
    assert "it is marked as damaged; zkboot backup makes another one" in told.stdout
    asked = machine.zkboot("restore", "--confirm", zk.plan.cluster)
    assert asked.returncode == 1 and "passed over, as found damaged: 20300101T000000Z" in asked.stdout, asked.stdout
    wrong = machine.zkboot("verify", "--scheduled")
    assert wrong.returncode == 2 and "say --drill too" in wrong.stdout
    assert "DAMAGED" in machine.zkboot("backups").stdout
    write(zk)
    assert machine.zkboot("backup").returncode == 0
    assert "verified 20300101T000001Z to its last record" in machine.zkboot("verify").stdout
    for key in zk.region.objects(f"{prefix(zk)}2030"):
        zk.region.client("s3").delete_object(Bucket=BUCKET, Key=key)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["lease", *STEPS])
def test_killed_at_any_step(zk: Group, step: str, when: str) -> None:
    """What was not finished is no backup, and the next one leaves nothing of it."""
    write(zk)
    victim = zk.followers()[0]
    before = names(zk)
    victim.stop_at_step(f"{when}:{step}:kill")
    killed = victim.zkboot("backup")
    assert killed.returncode == -signal.SIGKILL, killed.stdout
    committed = names(zk) - before
    assert bool(committed) == ((when, step) == ("after", "write manifest") or step in ("read back", "mark verified"))
    if not committed:
        write(zk)
    done = victim.zkboot("backup")
    assert done.returncode == 0, done.stdout
    assert len(names(zk) - before) == 1 and not unfinished(zk)
    assert names(zk) == names(zk, ".verified.json")


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_it_marks_the_newest_as_current(zk: Group, when: str) -> None:
    write(zk)
    victim = zk.followers()[0]
    assert victim.zkboot("backup").returncode == 0
    before = names(zk)
    victim.stop_at_step(f"{when}:mark current:kill")
    assert victim.zkboot("backup").returncode == -signal.SIGKILL
    assert f"nothing was written since backup {max(before)}" in victim.zkboot("backup").stdout
    assert names(zk) == before


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_it_aborts_what_was_left(zk: Group, when: str) -> None:
    write(zk)
    victim = zk.followers()[0]
    victim.stop_at_step("after:begin upload:kill")
    assert victim.zkboot("backup").returncode == -signal.SIGKILL and len(unfinished(zk)) == 1
    victim.stop_at_step(f"{when}:abort upload:kill")
    assert victim.zkboot("backup").returncode == -signal.SIGKILL
    assert victim.zkboot("backup").returncode == 0 and not unfinished(zk)


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_it_marks_a_backup_as_damaged(zk: Group, when: str) -> None:
    write(zk)
    victim = zk.followers()[0]
    assert victim.zkboot("backup").returncode == 0
    name = max(names(zk))
    zk.region.client("s3").put_object(Bucket=BUCKET, Key=f"{prefix(zk)}{name}.tar.gz", Body=b"gone")
    victim.stop_at_step(f"{when}:mark damaged:kill")
    assert victim.zkboot("verify", name).returncode == -signal.SIGKILL
    told = victim.zkboot("verify", name)
    assert told.returncode == 1 and f"{name}.tar.gz, offset 4: the archive ends" in told.stdout, told.stdout
    assert "DAMAGED" in victim.zkboot("backups").stdout
    zk.region.client("s3").delete_object(Bucket=BUCKET, Key=f"{prefix(zk)}{name}{MANIFEST}")
