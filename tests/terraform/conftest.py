"""Terraform on a copy of the stack. Without Terraform or the AWS provider the tests that need it are skipped, loudly."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.terraform.module import CHECKOUT, Stack

NEEDED = ("terraform", "cloudinit")
FOREIGN = ("AWS_", "TF_VAR_", "TF_CLI_ARGS", "TF_LOG")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A copy that `terraform init` may write into, initialised: in the checkout nothing is left behind."""
    if not shutil.which("terraform"):
        pytest.skip("NO TERRAFORM: install it to have the stack tested")
    root = tmp_path_factory.mktemp("stack")
    for name in NEEDED:
        shutil.copytree(CHECKOUT / name, root / name, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    stack = Stack(root / "terraform", environment())
    done = stack.run("init", "-backend=false", "-input=false")
    if done.returncode != 0:
        pytest.skip(f"NO AWS PROVIDER: terraform init says: {reason(done.stderr)}")
    return stack


def environment() -> Mapping[str, str]:
    """Without credentials or a region of the user's, and with a cache for the provider unless the user has settled that."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    if not kept.keys() & {"TF_CLI_CONFIG_FILE", "TF_PLUGIN_CACHE_DIR"} and not (Path.home() / ".terraformrc").exists():
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zkboot/terraform"
        cache.mkdir(parents=True, exist_ok=True)
        # The copy has no lock file, without which Terraform would leave the cache alone.
        kept |= {"TF_PLUGIN_CACHE_DIR": str(cache), "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE": "1"}
    return {**kept, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_REGISTRY_DISCOVERY_RETRY": "0"}


def reason(error: str) -> str:
    """The paragraph under Terraform's last heading, in one line."""
    return " ".join(error.rpartition("Error: ")[2].split("\n\n")[1].split())
