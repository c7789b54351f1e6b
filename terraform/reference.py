#!/usr/bin/env python3
"""Write what follows from other files: the argument reference in README.md, and settings.json from zkboot's settings.

Usage: reference.py [--check]        --check writes nothing, and fails where something would be written
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hcl2

from zkboot.settings_keys import KEYS

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
SETTINGS = HERE / "settings.json"
BEGIN = "<!-- Written by reference.py from variables.tf and outputs.tf: change it there. -->"
END = "<!-- End of what reference.py writes. -->"


def blocks(kind: str) -> dict[str, Mapping[str, Any]]:
    """The named blocks of that kind in the module's files, such as variables by name."""
    options = hcl2.SerializationOptions(with_comments=False, explicit_blocks=False, strip_string_quotes=True)
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted(HERE.glob("*.tf")):
        with path.open(encoding="utf-8") as file:
            for block in hcl2.load(file, serialization_options=options).get(kind, ()):
                found.update(block)
    return found


def settings() -> str:
    """Every setting of zkboot: its type and default (null where one must be given), and the line of help."""
    table = {name: {"type": key.type.__name__, "default": key.default, "help": key.rule.help} for name, key in KEYS.items()}
    return json.dumps(table, indent=2) + "\n"


def reference() -> str:
    lines = ["| argument | type | default | |", "|---|---|---|---|"]
    for name, variable in blocks("variable").items():
        default = json.dumps(variable["default"]) if "default" in variable else "required"
        lines.append(f"| `{name}` | `{of_type(variable['type'])}` | `{default}` | {variable['description']} |")
    lines += ["", "| output | |", "|---|---|"]
    for name, output in blocks("output").items():
        lines.append(f"| `{name}` | {output['description']} |")
    return "\n".join(lines) + "\n"


def of_type(written: str) -> str:
    return written.removeprefix("${").removesuffix("}") if written.startswith("${") else written


def readme() -> str:
    """The README with its reference as it should be. Raises ValueError where the marks are missing."""
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"{README}: put these two lines where the reference belongs:\n{BEGIN}\n{END}")
    return f"{before}{BEGIN}\n\n{reference()}\n{END}{after}"


def main(arguments: list[str]) -> int:
    stale = [(path, text) for path, text in ((README, readme()), (SETTINGS, settings())) if not is_so(path, text)]
    if arguments == ["--check"]:
        for path, _ in stale:
            print(f"{path} is not what its sources say: run terraform/reference.py", file=sys.stderr)
        return 1 if stale else 0
    for path, text in stale:
        path.write_text(text, encoding="utf-8")
        print(f"written: {path}")
    return 0


def is_so(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
