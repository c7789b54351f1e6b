"""The template, judged by the real Packer: its form, each choice that a person has, each value that it must refuse."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.image.tools import PACKER, ROOT, need, run

SUBNET, IMAGE = "subnet-0123456789abcdef0", "ami-0123456789abcdef0"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/12345678-1234-1234-1234-123456789012"
CHOICES = {
    "nothing chosen": {},
    "arm64": {"architecture": "arm64"},
    "a private build": {"connection": "private_ip", "subnet_id": SUBNET, "http_proxy": "http://10.0.0.2:3128"},
    "session manager": {"connection": "session_manager", "subnet_id": SUBNET, "instance_profile": "builder"},
    "shared and copied": {
        "kms_key_id": KEY,
        "users": ["123456789012", "210987654321"],
        "copy_regions": ["eu-west-1", "us-gov-west-1"],
        "copy_kms_key_ids": {"eu-west-1": "alias/image", "us-gov-west-1": "alias/image"},
        "tags": {"Team": "data"},
    },
    "another source, kept for ever": {"source_ami": IMAGE, "source_owner": "self", "deprecate_days": 0, "root_gib": 20},
    "another tarball": {
        "zookeeper_version": "3.9.6",
        "zookeeper_tarball": "https://mirror.example/zookeeper.tar.gz",
        "zookeeper_sha512": "0" * 128,
        "zookeeper_signature": "none",
    },
    "an emulator": {"endpoint": "http://10.77.0.2:4566", "skip_region_validation": True, "instance_type": "m7i-flex.large"},
}
# For each variable that can be wrong: a value, and what must be said.
REFUSED = {
    "architecture": ("amd64", 'must be "x86_64" or "arm64"'),
    "connection": ("ssm", 'must be "public_ip", "private_ip" or "session_manager"'),
    "copy_regions": (["everywhere"], "copy_regions must be names of regions"),
    "deprecate_days": (-1, "must be a whole number from 0 to 3650"),
    "endpoint": ("ec2.example", "http://... or https://..."),
    "http_proxy": ("proxy", "http_proxy must be"),
    "instance_type": ("small", "instance_type must be"),
    "java_version": (17, "java_version must be 21 or 25"),
    "kms_key_id": ("my key", "kms_key_id must be"),
    "region": ("Frankfurt", "region must be a region's name"),
    "revision": ("a b", "revision must be 1 to 80"),
    "root_gib": (2.5, "must be a whole number from 4 to 16384"),
    "source_ami": ("debian", "source_ami must be"),
    "source_owner": ("debian", "source_owner must be"),
    "subnet_id": ("10.0.0.0/24", "subnet_id must be"),
    "users": (["alice"], "must be account ids of 12 digits"),
    "zookeeper_key": ("andor", "zookeeper_key must be a key's full fingerprint"),
    "zookeeper_sha512": ("abc", "zookeeper_sha512 must be a SHA-512"),
    "zookeeper_signature": ("no", "zookeeper_signature must be"),
    "zookeeper_tarball": ("zookeeper.zip", "ends in .tar.gz"),
    "zookeeper_version": ("3.9.3", "must be 3.9.5 or a newer 3.x release"),
}
# Any value is a right one.
FREE = {"copy_kms_key_ids", "instance_profile", "skip_region_validation", "source_name", "tags", "zookeeper_keys"}


@pytest.fixture
def packer() -> str:
    path = need("packer")
    has = run(path, "validate", PACKER)
    if "Missing plugins" in has.stdout or "plugins install" in has.stdout:
        pytest.skip("Packer's amazon plugin is not installed (packer init packer): the template is NOT checked here")
    return path


def test_it_is_formatted(packer: str) -> None:
    done = run(packer, "fmt", "-check", "-diff", PACKER)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("choice", CHOICES)
def test_each_choice_is_valid(packer: str, choice: str, tmp_path: Path) -> None:
    done = validate(packer, tmp_path, CHOICES[choice])
    assert done.returncode == 0, done.stdout


def test_each_wrong_value_is_refused_by_name(packer: str, tmp_path: Path) -> None:
    done = validate(packer, tmp_path, {name: value for name, (value, _) in REFUSED.items()})
    assert done.returncode == 1
    said = re.sub(r"\s+", " ", done.stdout)
    assert [name for name, (_, words) in REFUSED.items() if words not in said] == []


def test_what_others_cannot_decrypt_is_not_shared(packer: str, tmp_path: Path) -> None:
    done = validate(packer, tmp_path, {"users": ["123456789012"]})
    assert done.returncode == 1
    assert "encrypted with default KMS key" in done.stdout


def test_every_variable_is_described_and_checked_or_free() -> None:
    declared = {}
    for file in ("variables.pkr.hcl", "versions.pkr.hcl"):
        for name, body in re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', (PACKER / file).read_text(), re.MULTILINE | re.DOTALL):
            declared[name] = body
    assert set(declared) == set(REFUSED) | FREE
    assert [name for name, body in declared.items() if "description" not in body or "type " not in body] == []
    assert {name for name, body in declared.items() if "validation {" in body} == set(REFUSED)


def test_the_pinned_version_is_that_of_the_lab() -> None:
    pinned = re.search(
        r'variable "zookeeper_version".*?default += "([^"]+)"', (PACKER / "versions.pkr.hcl").read_text(), re.DOTALL
    )
    assert pinned is not None
    assert f"<version>{pinned[1]}</version>" in (PACKER / "zookeeper/pom.xml").read_text()
    assert f"Apache ZooKeeper {pinned[1]}" in (ROOT / "NOTICE").read_text()


def validate(packer: str, folder: Path, values: object) -> "subprocess.CompletedProcess[str]":
    """`packer validate` with the values in a file, as `-var-file` gives them."""
    file = folder / "values.pkrvars.json"
    file.write_text(json.dumps(values))
    return run(packer, "validate", f"-var-file={file}", PACKER)
