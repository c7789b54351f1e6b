"""The scripts of the image: their form, and what they say where something is wrong."""

import hashlib
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.image.tools import PACKER, ROOT, need, run

PROVISION = PACKER / "provision"
STEPS = sorted(PROVISION.glob("[0-9]*.sh"))
SCRIPTS = [
    path for path in sorted(PACKER.rglob("*")) if path.is_file() and path.read_bytes()[:20].startswith(b"#!/usr/bin/env bash")
]
CHOSEN = {"TARBALL": "", "SIGNATURE": "none", "KEYS": ""}


def test_shellcheck_has_nothing_to_say() -> None:
    done = run(need("shellcheck"), "--external-sources", "--source-path=SCRIPTDIR", *SCRIPTS, PROVISION / "common.sh")
    assert done.returncode == 0, done.stdout


def test_they_are_formatted() -> None:
    done = run(need("shfmt"), "-d", "-i", "4", *SCRIPTS, PROVISION / "common.sh")
    assert done.returncode == 0, done.stdout


def test_each_step_is_numbered_strict_and_named() -> None:
    assert len({path.name[:2] for path in STEPS}) == len(STEPS)
    for path in STEPS:
        assert '. "$IMAGE/provision/common.sh"\n' in path.read_text(), path
        assert os.access(path, os.X_OK), path
    assert "set -Eeuo pipefail" in (PROVISION / "common.sh").read_text()


def test_a_step_that_fails_is_named_with_its_command(tmp_path: Path) -> None:
    script = tmp_path / "70-thing.sh"
    script.write_text('#!/usr/bin/env bash\n. "$IMAGE/provision/common.sh"\nstep "the third thing"\nls /nowhere/at/all\n')
    done = run("bash", script, env={**os.environ, "IMAGE": str(PACKER)})
    assert done.returncode != 0
    assert "image: FAILED: the third thing (70-thing.sh line 4: ls /nowhere/at/all)" in done.stdout


def test_a_tarball_that_is_not_the_pinned_one_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "provision").symlink_to(PROVISION)
    (tmp_path / "ami").mkdir()
    tarball = tmp_path / "ami/zookeeper.tar.gz"
    tarball.write_bytes(b"something else")
    pinned, found = "0" * 128, hashlib.sha512(tarball.read_bytes()).hexdigest()
    told = {"IMAGE": str(tmp_path), "ZOOKEEPER_VERSION": "0.0.0-test", "ZOOKEEPER_SHA512": pinned}
    done = run(PROVISION / "30-zookeeper.sh", env={**os.environ, **told})
    assert done.returncode == 1
    assert f"pinned {pinned}, found {found}" in done.stdout
    assert "FAILED: the tarball's SHA-512" in done.stdout
    assert not Path("/opt/zookeeper-0.0.0-test").exists()


@pytest.fixture
def signed(tmp_path: Path) -> dict[str, str]:
    """A file, a signature of it by the first of two new keys, both keys, and their fingerprints."""
    gpg = [
        need("gpg"),
        "--homedir",
        str(tmp_path / "gpg"),
        "--batch",
        "--quiet",
        "--pinentry-mode",
        "loopback",
        "--passphrase",
        "",
    ]
    (tmp_path / "gpg").mkdir(mode=0o700)
    for name in ("one", "two"):
        made = run(*gpg, "--quick-generate-key", f"{name}@example", "ed25519", "sign", "never")
        assert made.returncode == 0, made.stdout
    listed = run(*gpg, "--list-keys", "--with-colons").stdout
    one, two = re.findall(r"^fpr:+([0-9A-F]{40}):", listed, re.MULTILINE)
    (tmp_path / "file").write_text("content\n")
    run(*gpg, "--armor", "--local-user", one, "--detach-sign", tmp_path / "file")
    (tmp_path / "KEYS").write_text("a heading, as Apache's KEYS has many\n\n" + run(*gpg, "--armor", "--export").stdout)
    run("gpgconf", "--homedir", tmp_path / "gpg", "--kill", "all")
    return {
        "file": str(tmp_path / "file"),
        "signature": str(tmp_path / "file.asc"),
        "keys": str(tmp_path / "KEYS"),
        "one": one,
        "two": two,
    }


def verify(signed: dict[str, str], fingerprint: str) -> "tuple[int, str]":
    done = run(PROVISION / "verify-signature", signed["file"], signed["signature"], signed["keys"], fingerprint)
    return done.returncode, done.stdout


def test_a_signature_by_the_pinned_key_is_taken(signed: dict[str, str]) -> None:
    assert verify(signed, signed["one"]) == (0, "")


def test_a_good_signature_by_another_key_of_the_file_is_not(signed: dict[str, str]) -> None:
    code, said = verify(signed, signed["two"])
    assert code == 1
    assert f"file is not signed by the pinned key (zookeeper_key) {signed['two']}" in said


def test_a_signature_of_another_content_is_not(signed: dict[str, str]) -> None:
    Path(signed["file"]).write_text("other content\n")
    code, said = verify(signed, signed["one"])
    assert (code, "BAD signature" in said, "is not used" in said) == (1, True, True)


def test_a_file_here_is_taken_with_its_signature(tmp_path: Path) -> None:
    for name in ("z.tar.gz", "z.tar.gz.asc", "KEYS"):
        (tmp_path / name).write_text(name)
    done = fetch(tmp_path / "to", TARBALL=str(tmp_path / "z.tar.gz"), SIGNATURE="", KEYS=str(tmp_path / "KEYS"))
    assert (done.returncode, done.stdout) == (0, "")
    assert {path.name: path.read_text() for path in (tmp_path / "to").iterdir()} == {
        "zookeeper.tar.gz": "z.tar.gz",
        "zookeeper.tar.gz.asc": "z.tar.gz.asc",
        "KEYS": "KEYS",
    }
    assert fetch(tmp_path / "to", TARBALL=str(tmp_path / "z.tar.gz")).returncode == 0
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["zookeeper.tar.gz"], (
        "an old signature would be of another tarball"
    )


def test_a_missing_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    done = fetch(tmp_path / "to", TARBALL="/nowhere/z.tar.gz")
    assert done.returncode == 1
    assert "ZooKeeper's tarball: there is no file /nowhere/z.tar.gz; name another one, or a URL" in done.stdout


def test_an_unreachable_url_is_named_with_what_to_do(tmp_path: Path) -> None:
    need("curl")
    done = fetch(tmp_path / "to", TARBALL="http://127.0.0.1:9/z.tar.gz")
    assert done.returncode == 1
    assert "could not be fetched from http://127.0.0.1:9/z.tar.gz: see that this machine reaches it" in done.stdout


def fetch(folder: Path, **chosen: str) -> "subprocess.CompletedProcess[str]":
    return run(PACKER / "fetch-tarball", folder, env={**os.environ, **CHOSEN, **chosen})


def test_without_packer_the_build_says_what_to_install(tmp_path: Path) -> None:
    for name in ("bash", "dirname"):
        (tmp_path / name).symlink_to(need(name))
    done = run(PACKER / "build", env={**os.environ, "PATH": str(tmp_path)})
    assert done.returncode == 1
    assert "Packer builds the image, and it is not on the PATH: install Packer 1.10.0 or newer" in done.stdout


def test_an_old_packer_is_refused(tmp_path: Path) -> None:
    old = tmp_path / "packer"
    old.write_text("#!/bin/sh\necho Packer v1.6.6\n")
    old.chmod(0o755)
    done = run(PACKER / "build", env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert done.returncode == 1
    assert "This Packer is 1.6.6, and the template needs 1.10.0 or newer" in done.stdout


def test_the_wheel_is_the_same_each_time(tmp_path: Path) -> None:
    wheels = []
    for _ in range(2):
        done = run(PACKER / "prepare")
        assert done.returncode == 0, done.stdout
        wheels.append([path.read_bytes() for path in (ROOT / "build/ami").glob("zkboot-*.whl")])
    assert wheels[0] == wheels[1]
    assert len(wheels[0]) == 1
