"""What a person reads who gives the stack something wrong: the sentence names it, and says what to change."""

import json
from collections import defaultdict
from typing import NamedTuple

import pytest

from tests.terraform.module import Stack

FOLDER = "sentences"


class Wrong(NamedTuple):
    variables: str
    sentence: str
    found: str = ""  # what AWS has, where that is what is wrong


OTHER_VPC = """
override_data {
  target = data.aws_subnet.given[2]
  values = { vpc_id = "vpc-2", availability_zone = "eu-west-1c" }
}
"""
LARGE_IMAGE = """
override_data {
  target = data.aws_ami.this
  values = {
    root_device_name      = "/dev/xvda"
    block_device_mappings = [{ device_name = "/dev/xvda", ebs = { volume_size = "30" } }]
  }
}
"""
NO_IMAGES = """
override_data {
  target = data.aws_ami_ids.candidates
  values = { ids = [] }
}
"""

WRONG = {
    "name-too-long": Wrong(
        'cluster = "a-name-of-forty-one-characters-is-too-long"',
        'cluster is "a-name-of-forty-one-characters-is-too-long" (42 characters): give 1 to 40 of a-z, 0-9 and -',
    ),
    "no-such-subnet": Wrong(
        'subnet_ids = ["subnet-a", "subnet-x", "subnet-y"]',
        "subnet_ids: there is no subnet-x, subnet-y in eu-west-1, account 123456789012: correct the ids, or the region",
    ),
    "one-subnet": Wrong(
        'subnet_ids = ["subnet-a"]',
        "subnet_ids span 1 zone(s) (eu-west-1a) and min_zones is 3: name one subnet in each of three zones",
    ),
    "two-vpcs": Wrong(
        "",
        "subnet_ids are in 2 VPCs (vpc-1, vpc-2): name subnets of one.",
        OTHER_VPC,
    ),
    "no-image": Wrong(
        "",
        "There is no image with the name zkboot-* for m7i.large (x86_64) in eu-west-1 that belongs to self: "
        "run `make ami` for this region, or correct ami.name, ami.owners or instance_type.",
        NO_IMAGES,
    ),
    "no-image-of-the-id": Wrong(
        'ami = { id = "ami-0123456789abcdef0" }',
        "There is no image with the image-id ami-0123456789abcdef0 for m7i.large (x86_64) in eu-west-1 that belongs to self: "
        "correct ami.id,",
        NO_IMAGES,
    ),
    "no-manifest": Wrong(
        'ami = { manifest = "../build/nothing.json" }',
        "ami.manifest: there is no file ../build/nothing.json: run `make ami`, which writes build/ami.json, or correct the path.",
    ),
    "reserved-bucket": Wrong(
        'bucket = { name = "xn--orders" }',
        "bucket.name: S3 reserves the beginnings xn--, sthree-, amzn-s3-demo-",
    ),
    "reserved-tag": Wrong(
        'tags = { "aws:team" = "7" }',
        "tags: AWS reserves keys that begin with aws: rename aws:team.",
    ),
    "tag-with-a-space": Wrong(
        'tags = { "cost center" = "7" }',
        'tags: "cost center" cannot be shown in instance metadata, and no instance would launch',
    ),
    "unknown-setting": Wrong(
        "settings = { zookeeper = { tickTime = 2000 } }",
        "settings: zkboot knows no zookeeper.tickTime: settings.json lists what there is",
    ),
    "setting-of-the-wrong-type": Wrong(
        'settings = { zookeeper = { tick_time = "fast" } }',
        "settings: zookeeper.tick_time must be of type int.",
    ),
    "the-modules-own-setting": Wrong(
        'settings = { aws = { bucket = "mine" } }',
        "settings: this module sets aws.bucket itself: leave it out",
    ),
    "reserved-prefix": Wrong(
        'settings = { backup = { prefix = "control/orders/" } }',
        'settings.backup.prefix is "control/orders/": it must begin with backups/, go on with letters, '
        "digits and . _ / - only, and end with a slash, such as backups/orders/.",
    ),
    "more-than-gp3-has": Wrong(
        "data_volume = { size = 20, iops = 16000, throughput = 1000 }",
        "so 20 GiB have up to 10000 IOPS, and 16000 IOPS a throughput of up to 4000 MiB/s",
    ),
    "backups-rarer-than-their-alarm": Wrong(
        "settings = { backup = { interval = 604800 } }",
        "alarms.backup_age (180000 s) must be longer than settings.backup.interval (604800 s)",
    ),
    "volume-smaller-than-its-image": Wrong(
        "",
        "has a root volume of 30 GiB and root_volume.size is 20: no instance would launch. Raise root_volume.size to 30 or more",
        LARGE_IMAGE,
    ),
    "too-large": Wrong(
        "desired_capacity = 12",
        "desired_capacity is 12, outside of min_size (1) to max_size (9): change it or the bound that is in its way.",
    ),
    "given-up-too-early": Wrong(
        "launch_timeout = 900",
        "launch_timeout (900 s) must be longer than settings.timing.bootstrap_timeout (1800 s)",
    ),
}

FILE = """
mock_provider "aws" {{
  source = "./tests/mocks"
}}

variables {{
  cluster    = "orders"
  subnet_ids = ["subnet-a", "subnet-b", "subnet-c"]
}}

run "wrong" {{
  command = plan

  variables {{
    {variables}
  }}

  {found}
}}
"""


@pytest.fixture(scope="module")
def said(stack: Stack) -> dict[str, list[str]]:
    """Every error by the case that it is about. One call of Terraform for all of them."""
    folder = stack.folder / FOLDER
    folder.mkdir()
    for name, wrong in WRONG.items():
        (folder / f"{name}.tftest.hcl").write_text(FILE.format(variables=wrong.variables, found=wrong.found))
    done = stack.run("test", "-json", f"-test-directory={FOLDER}")
    found: dict[str, list[str]] = defaultdict(list)
    for line in map(json.loads, done.stdout.splitlines()):
        if line["type"] == "diagnostic":
            name = line["@testfile"].removeprefix(f"{FOLDER}/").removesuffix(".tftest.hcl")
            found[name].append(line["diagnostic"]["detail"])
    return found


@pytest.mark.parametrize("name", WRONG)
def test_the_sentence_says_what_to_change(said: dict[str, list[str]], name: str) -> None:
    assert len(said[name]) == 1
    assert WRONG[name].sentence in said[name][0]
