"""What Terraform makes of cloudinit/user-data.yaml.tftpl, without Terraform: a test holds this to the real one, byte by byte."""

import base64
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).resolve().parents[2] / "cloudinit/user-data.yaml.tftpl"
EXPRESSION = re.compile(r"\$\{base64encode\(.*?\n    \)\), .*?\)\)\}", re.DOTALL)
# What Go's encoder of JSON escapes beside what Python's does.
ESCAPED = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})


def user_data(settings: Mapping[str, Any]) -> str:
    """The user data of an instance with these settings (nested as in zkboot.toml)."""
    content = base64.b64encode(zkboot_toml(settings).encode()).decode()
    text, count = EXPRESSION.subn(content, TEMPLATE.read_text())
    assert count == 1, f"{TEMPLATE} has changed its form"
    return text


def settings_in(user_data: str) -> dict[str, Any]:
    """The other way round: what the instance finds in its zkboot.toml."""
    (file,) = yaml.safe_load(user_data)["write_files"]
    return tomllib.loads(base64.b64decode(file["content"]).decode())


def runcmd() -> str:
    """The script that cloud-init makes of the user data's commands, for sh."""
    return "\n".join(yaml.safe_load(user_data({}))["runcmd"])


def zkboot_toml(settings: Mapping[str, Any]) -> str:
    """The file that the user data writes to /etc/zkboot/zkboot.toml."""
    lines = [f"{key} = {encoded(value)}" for key, value in plain(settings)]
    for section, values in tables(settings):
        lines += ["", f"[{section}]", *(f"{key} = {encoded(value)}" for key, value in plain(values))]
        for table, entries in tables(values):
            lines += ["", f"[{section}.{table}]", *(f"{encoded(key)} = {encoded(value)}" for key, value in plain(entries))]
    return "\n".join([*lines, ""]).replace("\x7f", "\\u007f")


def plain(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((key, value) for key, value in sorted(values.items()) if value is not None and not isinstance(value, Mapping))


def tables(values: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((key, value) for key, value in sorted(values.items()) if isinstance(value, Mapping))


def encoded(value: Any) -> str:
    """Terraform's jsonencode; its numbers know no difference between 1 and 1.0."""
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).translate(ESCAPED)
