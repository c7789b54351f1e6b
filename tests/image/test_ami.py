"""What EC2 tells of the image that Packer registered, in the lab's region."""

import json
import re
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.lab.full.ec2 import Image


@pytest.fixture(scope="session")
def ami(golden: Image) -> dict[str, Any]:
    """DescribeImages' answer of the moment at which it was built."""
    told: dict[str, Any] = json.loads((golden.layers[-1].parent / "image.json").read_text())["api"]
    return told


def test_its_name_sorts_by_the_time_of_its_build(ami: dict[str, Any]) -> None:
    assert re.fullmatch(r"zkboot-x86_64-\d{8}T\d{6}Z-zookeeper-[\d.]+", ami["Name"])


def test_its_tags_say_what_it_is_made_of(ami: dict[str, Any]) -> None:
    tags = {tag["Key"]: tag["Value"] for tag in ami["Tags"]}
    own = {name.removeprefix("zkboot:") for name in tags if name.startswith("zkboot:")}
    assert own == {"version", "revision", "zookeeper", "java", "built", "source-ami"}
    assert tags["Name"] == ami["Name"]
    assert tags["zkboot:built"] in ami["Name"]
    assert tags["zkboot:source-ami"].startswith("ami-")
    assert all(tags.values())


def test_it_is_encrypted_private_and_gives_its_instances_the_second_metadata_service(ami: dict[str, Any]) -> None:
    (root,) = [device for device in ami["BlockDeviceMappings"] if device["DeviceName"] == ami["RootDeviceName"]]
    assert root["Ebs"]["Encrypted"] is True
    assert ami["ImdsSupport"] == "v2.0"
    assert ami["Public"] is False


def test_it_is_deprecated_after_ninety_days(ami: dict[str, Any]) -> None:
    built, deprecated = (datetime.fromisoformat(ami[name].replace("Z", "")) for name in ("CreationDate", "DeprecationTime"))
    assert timedelta(days=89) < deprecated - built < timedelta(days=91)
