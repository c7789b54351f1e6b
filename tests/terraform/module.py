"""The stack's files: read as HCL, or worked on by Terraform."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import hcl2

CHECKOUT = Path(__file__).resolve().parents[2]
MODULE = CHECKOUT / "terraform"
EXAMPLES = sorted(path.parent for path in MODULE.glob("examples/*/main.tf"))
PLAIN = hcl2.SerializationOptions(with_comments=False, explicit_blocks=False, strip_string_quotes=True)


class Stack(NamedTuple):
    """An initialised copy of the module."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, *arguments: str, folder: str = ".") -> subprocess.CompletedProcess[str]:
        """Terraform, in this folder of the module."""
        return subprocess.run(
            ["terraform", *arguments, "-no-color"],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder / folder,
            env=dict(self.environment),
        )


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
