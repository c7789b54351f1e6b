"""What zkboot, the stack, the image and the lab must agree on, each written in one place and compared here."""

import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml

from tests.lab import region
from tests.lab.full.apply import SCALE
from tests.lab.iam import ACCOUNT, PARTITION
from tests.lab.region import REGION
from tests.terraform.module import CHECKOUT, MODULE, as_text, blocks, local_values, read, resources
from zkboot import metrics, record, settings
from zkboot.aws.imds import GROUP_TAG
from zkboot.backup.lease import lease_key
from zkboot.settings_keys import KEYS, NAME, Settings

CLUSTER = "orders"
LOCALS = local_values()
POLICY = (MODULE / "policies/node.json.tftpl").read_text()


# --- written from others


def test_readme_and_settings_are_what_their_sources_say() -> None:
    done = subprocess.run([sys.executable, MODULE / "reference.py", "--check"], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_each_argument_has_a_type_and_a_description_and_each_output_a_description() -> None:
    arguments = {name: bool(body.get("type") and body.get("description")) for name, body in blocks("variable")}
    outputs = {name: bool(body.get("description")) for name, body in blocks("output")}
    assert arguments and outputs
    assert [name for name, told in {**arguments, **outputs}.items() if not told] == []


# --- settings


@pytest.fixture(scope="module")
def on_the_node(planned: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """What zkboot itself makes of the settings in the user data."""
    user_data = yaml.safe_load(base64.b64decode(planned["aws_launch_template.this"]["user_data"]))
    path: Path = tmp_path_factory.mktemp("node") / "zkboot.toml"
    path.write_bytes(base64.b64decode(user_data["write_files"][0]["content"]))
    return settings.load(str(path))


def test_zkboot_takes_the_settings_as_they_are_meant(planned: dict[str, dict[str, Any]], on_the_node: Settings) -> None:
    assert on_the_node.cluster == CLUSTER
    assert on_the_node.aws.bucket == planned["aws_s3_bucket.this[0]"]["bucket"]
    assert on_the_node.aws.group == planned["aws_autoscaling_group.this"]["name"]
    assert on_the_node.aws.log_group == planned["aws_cloudwatch_log_group.this"]["name"]
    assert on_the_node.node.data_dir.startswith(on_the_node.node.volume + "/")
    assert on_the_node.ensemble == (3, 0, 3600.5)
    assert on_the_node.zookeeper.jvm_flags == ("-Dodd=\"%'",)
    assert on_the_node.zookeeper.extra == {"maxCnxns": 1000, "ssl.quorum.hostnameVerification": False}


def test_what_nobody_set_is_zkboots_default(on_the_node: Settings) -> None:
    assert on_the_node.timing == Settings("", on_the_node.aws).timing


def test_the_hooks_are_those_that_zkboot_completes(planned: dict[str, dict[str, Any]], on_the_node: Settings) -> None:
    hooks = {
        body["lifecycle_transition"].rpartition(":")[2]: body["name"]
        for address, body in planned.items()
        if address.startswith("aws_autoscaling_lifecycle_hook.this")
    }
    wanted = {"EC2_INSTANCE_LAUNCHING": on_the_node.aws.launch_hook, "EC2_INSTANCE_TERMINATING": on_the_node.aws.termination_hook}
    assert hooks == wanted
    initial = planned["aws_autoscaling_group.this"]["initial_lifecycle_hook"]
    assert {hook["lifecycle_transition"].rpartition(":")[2]: hook["name"] for hook in initial} == wanted


def test_a_changed_hook_does_not_replace_the_group() -> None:
    """The provider replaces a group whose initial hooks change, so that must be ignored, and the hooks have resources."""
    group, hook = (resources()[f"aws_autoscaling_{name}"] for name in ("group.this", "lifecycle_hook.this"))
    assert group["lifecycle"][0]["ignore_changes"] == ["initial_lifecycle_hook"]
    (initial,) = (body["initial_lifecycle_hook"] for body in group["dynamic"] if "initial_lifecycle_hook" in body)
    assert initial["for_each"] == hook["for_each"] == "${local.hooks}"


def test_the_module_refuses_settings_that_it_sets_itself() -> None:
    own = set(LOCALS["own_settings"])
    assert own <= KEYS.keys()
    written = re.findall(r"(\w+) = (?!merge)", LOCALS["settings"])
    assert {name.rpartition(".")[2] for name in own} >= set(written)


def test_a_clusters_name_is_what_zkboot_takes() -> None:
    pattern = re.search(r'regex\("([^"]+)"', dict(blocks("variable"))["cluster"]["validation"][0]["condition"])
    assert pattern
    for name in ("a", "a" * 40, "a" * 41, "", "orders-2", "-", "Orders", "a_b", "a.b", "a b", "ä"):
        assert bool(re.fullmatch(pattern[1].strip("^$"), name)) == NAME.fits(name), name


# --- prefixes, parameters, groups

WORDS = {
    "partition": PARTITION,
    "account": ACCOUNT,
    "region": "eu-west-1",
    "bucket": "b",
    "cluster": CLUSTER,
    "group": "zkboot-orders",
    "backups": f"backups/{CLUSTER}/",
}


def allowed(action: str) -> list[str]:
    statements = json.loads(Template(POLICY).substitute(WORDS))["Statement"]
    return [statement["Resource"] for statement in statements if statement["Effect"] == "Allow" and action in statement["Action"]]


def test_terraform_and_the_lab_fill_the_same_words_into_the_policy() -> None:
    words = set(re.findall(r"\$\{(\w+)\}", POLICY))
    assert words == WORDS.keys()
    assert "%{" not in POLICY
    (written,) = re.findall(r"node\.json\.tftpl\", \{([^}]*)\}", LOCALS["node_policy"])
    assert set(re.findall(r"(\w+) =", written)) == words
    assert region.POLICY == MODULE / "policies/node.json.tftpl"


def test_the_policy_reaches_zkboots_own_keys_and_parameters() -> None:
    control, backups = allowed("s3:PutObject")
    for key in (record.record_key(CLUSTER), record.report_key(CLUSTER, "i-1"), lease_key(CLUSTER)):
        assert f"arn:aws:s3:::b/{key}".startswith(control.removesuffix("*"))
    assert backups == f"arn:aws:s3:::b/backups/{CLUSTER}/*"
    assert allowed("s3:AbortMultipartUpload") == [backups]
    assert KEYS["backup.prefix"].rule.help.endswith('"" is backups/<cluster>/')
    (parameters,) = allowed("ssm:PutParameter")
    for name in ("secret", "witness"):
        assert KEYS[f"aws.{name}"].rule.help.endswith(f'"" is /zkboot/<cluster>/{"super" if name == "secret" else "cluster-id"}')
    assert parameters == f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/zkboot/{CLUSTER}/*"


def test_the_policy_reaches_the_log_group_and_the_group_that_are_made(planned: dict[str, dict[str, Any]]) -> None:
    (logs,) = allowed("logs:PutLogEvents")
    assert logs.endswith(f":log-group:{planned['aws_cloudwatch_log_group.this']['name']}:*")
    (group,) = allowed("autoscaling:CompleteLifecycleAction")
    assert group.endswith(f"/{planned['aws_autoscaling_group.this']['name']}")


def test_no_lifecycle_rule_reaches_the_record() -> None:
    rules = resources()["aws_s3_bucket_lifecycle_configuration.this"]["rule"]
    prefixes = [rule["filter"][0]["prefix"] for rule in rules]
    assert prefixes
    assert [prefix for prefix in prefixes if not prefix.startswith("backups/")] == []
    known = {"id", "status", "filter", "abort_incomplete_multipart_upload", "noncurrent_version_expiration"}
    assert [rule["id"] for rule in rules if rule.keys() - known] == []
    assert not record.record_key(CLUSTER).startswith("backups/")


def test_instances_show_the_tag_that_names_their_group(planned: dict[str, dict[str, Any]]) -> None:
    assert planned["aws_launch_template.this"]["metadata_options"][0]["instance_metadata_tags"] == "enabled"
    addresses = dict(blocks("output"))["commands"]["value"]["addresses"]
    assert f"Name=tag:{GROUP_TAG},Values=${{local.name}}" in addresses


def test_the_output_and_the_readme_scale_by_the_same_command() -> None:
    (typed,) = re.findall(r"^    aws (.*) zkboot-orders --desired-capacity 5$", (MODULE / "README.md").read_text(), re.MULTILINE)
    printed = dict(blocks("output"))["commands"]["value"]["scale"]
    assert printed.replace("${local.region}", REGION) == f"aws {typed} ${{local.name}} --desired-capacity 5"
    assert typed == SCALE


# --- metrics


def test_the_alarms_watch_what_zkboot_measures(planned: dict[str, dict[str, Any]]) -> None:
    alarms = [body for address, body in planned.items() if address.startswith("aws_cloudwatch_metric_alarm.ensemble")]
    assert {alarm["namespace"] for alarm in alarms} == {metrics.NAMESPACE}
    assert [alarm["dimensions"] for alarm in alarms] == [{metrics.DIMENSION: CLUSTER}] * len(alarms)
    assert {alarm["metric_name"] for alarm in alarms} <= metrics.METRICS.keys()
    assert len({alarm["metric_name"] for alarm in alarms}) == len(alarms)


def test_the_group_measures_what_its_alarm_watches(planned: dict[str, dict[str, Any]]) -> None:
    queries = planned["aws_cloudwatch_metric_alarm.boot_failed[0]"]["metric_query"]
    watched = {query["metric"][0]["metric_name"] for query in queries if query["metric"]}
    assert watched == set(planned["aws_autoscaling_group.this"]["enabled_metrics"])


# --- the image

IMAGE = CHECKOUT / "packer/zookeeper.pkr.hcl"


def test_the_image_is_found_by_the_name_that_packer_gives_it() -> None:
    name = next(block["name"] for block in read(IMAGE)["locals"] if "name" in block)
    (wanted,) = re.findall(r'name = optional\(string, "([^"*]+)\*"\)', dict(blocks("variable"))["ami"]["type"])
    assert name.startswith(wanted)


def test_packer_writes_the_manifest_where_terraform_is_told_to_look() -> None:
    assert 'output     = "${local.root}/build/ami.json"' in IMAGE.read_text()
    assert "build/ami.json" in as_text(dict(blocks("variable"))["ami"])
