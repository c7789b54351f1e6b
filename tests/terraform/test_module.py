"""The stack with Terraform itself: formatted, valid, and its own tests, which run against a mocked provider."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.terraform.module import EXAMPLES, MODULE, Stack, as_text, blocks, local_values, read, resources

TESTS = sorted(path.name for path in MODULE.glob("tests/*.tftest.hcl"))


def test_every_file_is_formatted() -> None:
    if not shutil.which("terraform"):
        pytest.skip("NO TERRAFORM: install it to have the stack tested")
    command = ["terraform", "fmt", "-check", "-recursive", "-diff", str(MODULE)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_module_is_valid_without_a_warning(stack: Stack) -> None:
    done = stack.run("validate")
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stdout


@pytest.mark.parametrize("name", TESTS)
def test_terraform_test(stack: Stack, name: str) -> None:
    done = stack.run("test", f"-filter=tests/{name}")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("example", [path.name for path in EXAMPLES])
def test_the_example_is_valid_and_plans(stack: Stack, example: str) -> None:
    folder = f"examples/{example}"
    initialised = stack.run("init", "-backend=false", "-input=false", folder=folder)
    assert initialised.returncode == 0, initialised.stderr
    for command in ("validate", "test"):
        done = stack.run(command, folder=folder)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Warning" not in done.stdout + done.stderr


# --- that nothing is left untested


def runs() -> list[dict[str, object]]:
    return [body for path in MODULE.glob("tests/*.tftest.hcl") for run in read(path)["run"] for body in run.values()]


def test_each_validation_has_a_value_that_it_refuses() -> None:
    wanted = {name: len(variable["validation"]) for name, variable in blocks("variable") if "validation" in variable}
    refused = re.findall(r"var\.(\w+)", as_text([run.get("expect_failures", ()) for run in runs()]))
    assert {name: count for name, count in wanted.items() if refused.count(name) < count} == {}


def test_each_condition_of_a_resource_is_asserted() -> None:
    """A resource that is there by condition is asserted in at least two runs: one with it, one without."""
    conditional = [address for address, body in resources().items() if {"count", "for_each"} & body.keys()]
    asserted = [as_text(run.get("assert", ())) for run in runs()]
    assert conditional
    assert [address for address in conditional if sum(address in text for text in asserted) < 2] == []


def test_each_check_and_condition_has_a_run_that_breaks_it() -> None:
    conditions = [f"check.{name}" for name, _ in blocks("check")]
    conditions += [address for address, body in resources().items() if "precondition" in as_text(body.get("lifecycle", ()))]
    conditions += [
        f"data.{kind}.{name}"
        for kind, named in blocks("data")
        for name, body in named.items()
        if "postcondition" in as_text(body.get("lifecycle", ()))
    ]
    broken = as_text([run.get("expect_failures", ()) for run in runs()])
    assert conditions
    assert [condition for condition in conditions if condition not in broken] == []


# --- what the module must not be


def test_the_module_has_no_provider_block_and_no_other_module() -> None:
    assert list(blocks("provider")) == []
    assert list(blocks("module")) == []


@pytest.mark.parametrize("folder", [MODULE, *EXAMPLES], ids=lambda path: path.name)
def test_there_is_one_provider(folder: Path) -> None:
    settings = [block for path in folder.glob("*.tf") for block in read(path).get("terraform", ())]
    providers = [provider for block in settings for provider in block["required_providers"]]
    assert providers == [{"aws": {"source": "hashicorp/aws", "version": "~> 6.0"}}]


def test_no_arn_names_its_partition() -> None:
    resources_and_policies = [as_text(resources()), as_text(local_values()), *(p.read_text() for p in MODULE.glob("policies/*"))]
    assert [found for text in resources_and_policies for found in re.findall(r"\barn:aws[a-z-]*:[^ ]*", text)] == []


def test_the_examples_use_the_module_beside_them() -> None:
    sources = [body["source"] for example in EXAMPLES for _, body in blocks("module", example)]
    assert sources == ["../.."] * len(EXAMPLES)
