"""Terraform on a copy of the stack. Without Terraform or the AWS provider the tests that need it are skipped, loudly."""

import json
from typing import Any

import pytest

from tests.terraform.module import NoTerraform, Stack, copied

PLAN = """
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  cluster     = "orders"
  subnet_ids  = ["subnet-a", "subnet-b", "subnet-c"]
  data_volume = { size = 20 }
  settings = {
    ensemble  = { max_voters = 3, auto_restore = 3600.5 }
    zookeeper = { jvm_flags = ["-Dodd=\\"%'"], extra = { "maxCnxns" = 1000, "ssl.quorum.hostnameVerification" = false } }
    backup    = { copy_bucket = "copies" }
  }
}

run "planned" {
  command = plan
}
"""


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A copy that `terraform init` may write into, initialised."""
    try:
        return copied(tmp_path_factory.mktemp("stack"))
    except NoTerraform as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def planned(stack: Stack) -> dict[str, dict[str, Any]]:
    """Each planned resource's values by address, of the cluster orders."""
    folder = stack.folder / "agreement"
    folder.mkdir()
    (folder / "plan.tftest.hcl").write_text(PLAN)
    done = stack.run("test", "-json", "-verbose", "-test-directory=agreement")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    changes = next(line["test_plan"]["resource_changes"] for line in lines if line["type"] == "test_plan")
    return {change["address"]: change["change"]["after"] for change in changes}
