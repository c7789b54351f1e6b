"""The stack's files: read as HCL, or worked on by Terraform."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import hcl2

CHECKOUT = Path(__file__).resolve().parents[2]
MODULE = CHECKOUT / "terraform"
EXAMPLES = sorted(path.parent for path in MODULE.glob("examples/*/main.tf"))
NEEDED = ("terraform", "cloudinit")
FOREIGN = ("AWS_", "TF_VAR_", "TF_CLI_ARGS", "TF_LOG")
NO_PROVIDER = re.compile(r"Error: Failed to (query available provider packages|install provider)")
PLAIN = hcl2.SerializationOptions(with_comments=False, explicit_blocks=False, strip_string_quotes=True)


class Stack(NamedTuple):
    """An initialised copy of the module."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, *arguments: str, folder: str = ".") -> subprocess.CompletedProcess[str]:
        """Terraform, in this folder of the module."""
        return subprocess.run(
            ["terraform", *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder / folder,
            env=dict(self.environment),
        )


class NoTerraform(Exception):
    """What is missing, in a sentence."""


def copied(root: Path, folder: str = ".") -> Stack:
    """A copy in `root` that Terraform may write into, initialised in `folder` of it: in the checkout nothing is left behind."""
    if not shutil.which("terraform"):
        raise NoTerraform("NO TERRAFORM: install it to have the stack tested")
    for name in NEEDED:
        shutil.copytree(CHECKOUT / name, root / name, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    stack = Stack(root / "terraform" / folder, environment())
    done = stack.run("init", "-backend=false", "-input=false")
    if done.returncode != 0 and not NO_PROVIDER.search(done.stderr):
        raise AssertionError(f"terraform init failed ({done.returncode}):\n{done.stderr}")
    if done.returncode != 0:
        raise NoTerraform(f"NO AWS PROVIDER: terraform init says: {reason(done.stderr)}")
    return stack


def environment() -> Mapping[str, str]:
    """Without credentials or a region of the user's, and with a cache for the provider unless the user has settled that."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    if not kept.keys() & {"TF_CLI_CONFIG_FILE", "TF_PLUGIN_CACHE_DIR"} and not (Path.home() / ".terraformrc").exists():
        kept_at = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zkboot/terraform"
        kept_at.mkdir(parents=True, exist_ok=True)
        # The copy has no lock file, without which Terraform would leave the cache alone.
        kept |= {"TF_PLUGIN_CACHE_DIR": str(kept_at), "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE": "1"}
    own = {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_CLI_ARGS": "-no-color", "TF_REGISTRY_DISCOVERY_RETRY": "0"}
    return {**kept, **own}


def reason(error: str) -> str:
    """The paragraph under Terraform's last heading, in one line."""
    return " ".join(error.rpartition("Error: ")[2].split("\n\n")[1].split())


@cache
def read(path: Path) -> dict[str, Any]:
    with path.open(encoding="utf-8") as file:
        found: dict[str, Any] = hcl2.load(file, serialization_options=PLAIN)
    return found


def blocks(kind: str, folder: Path = MODULE) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(name, block) of every block of a kind with one label, such as variables."""
    for path in sorted(folder.glob("*.tf")):
        for block in read(path).get(kind, ()):
            yield from block.items()


def resources(folder: Path = MODULE) -> dict[str, Mapping[str, Any]]:
    """Resources by address."""
    return {f"{kind}.{name}": body for kind, named in blocks("resource", folder) for name, body in named.items()}


def local_values(folder: Path = MODULE) -> dict[str, Any]:
    """Every local value, as it is written."""
    found = [block for path in sorted(folder.glob("*.tf")) for block in read(path).get("locals", ())]
    return {name: value for block in found for name, value in block.items()}


def as_text(value: Any) -> str:
    """A value with all that is in it, to be searched for a word."""
    return json.dumps(value)
