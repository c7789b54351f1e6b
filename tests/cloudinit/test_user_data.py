"""The user data: what the real Terraform and the real cloud-init make of the template, and what its commands do."""

import base64
import json
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.user_data import TEMPLATE, runcmd, user_data, zkboot_toml
from zkboot import settings as zkboot_settings
from zkboot.settings_keys import KEYS, SECTIONS

SMALL: dict[str, Any] = {"cluster": "orders", "aws": {"bucket": "my-zookeeper"}}
ODD = (
    'a "quoted" word',
    "it's",
    "two\nlines\r\n\ttab",
    "100 % of %{ if true } ${path.module} $${x} %%{y}",
    "back\\slash \\u0041 \\n",
    "#cloud-config",
    "{{ ds.meta_data }} {% if %}",
    "---\n- yaml: [1, 2",
    "EOT\nEOF\n'''\n\"\"\"",
    "<&>",
    "ü 漢 😀",
    "\u0085\u009b\u00a0\u2028\u2029\ufeff",
    "\x01\x1b[31m\x7f",
    "",
    " ",
)
NUMBERS = (0, 7, 2**31 - 1, 0.5, 1.25, 60.0)


def every_key() -> dict[str, Any]:
    """Each setting with a value of its own, as long as such values may be."""
    tables: dict[str, Any] = {"cluster": "c" * 40, **{section: {} for section in SECTIONS}}
    for name, key in KEYS.items():
        section, _, field = name.rpartition(".")
        if section:
            tables[section][field] = f"/{'long' * 15}" if key.type is str else ["-Dx=y"] * 5 if key.type is tuple else 123456
    return tables | {"zookeeper": tables["zookeeper"] | {"extra": {f"property{i}": "x" * 60 for i in range(20)}}}


def odd() -> dict[str, Any]:
    texts = {f"text{index}": text for index, text in enumerate(ODD)}
    numbers = {f"number{index}": number for index, number in enumerate(NUMBERS)}
    return {
        "cluster": ODD[0] + ODD[2],
        "aws": texts | {"absent": None},
        "node": {},
        "ensemble": None,
        "timing": numbers | {"yes": True, "no": False},
        "zookeeper": {"jvm_flags": list(ODD), "extra": {text or "empty": text for text in ODD} | {"left out": None, "n": 7}},
    }


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The template as the real Terraform renders it."""
    terraform = shutil.which("terraform")
    if terraform is None:
        pytest.skip("SKIPPED, NOT PROVED: terraform is not on this machine, so its rendering of the user data is not compared")
    folder = tmp_path_factory.mktemp("terraform")

    def render(settings: dict[str, Any]) -> str:
        (folder / "settings.json").write_text(json.dumps(settings))
        text = f'jsonencode(templatefile("{TEMPLATE}", {{ settings = jsondecode(file("{folder}/settings.json")) }}))\n'
        done = subprocess.run([terraform, "console"], cwd=folder, input=text, capture_output=True, text=True, check=True)
        return str(json.loads(json.loads(done.stdout)))

    return render


@pytest.mark.parametrize("settings", [SMALL, odd(), every_key()], ids=["small", "odd", "every key"])
def test_terraform_makes_the_bytes_that_the_lab_boots_with(rendered: Any, settings: dict[str, Any]) -> None:
    assert rendered(settings) == user_data(settings)


def content(settings: dict[str, Any]) -> str:
    """What cloud-init would write as zkboot.toml."""
    (file,) = yaml.safe_load(user_data(settings))["write_files"]
    assert (file["path"], file["owner"], file["permissions"]) == (zkboot_settings.DEFAULT_PATH, "root:root", "0600")
    return base64.b64decode(file["content"], validate=True).decode()


def test_every_value_arrives_as_it_was() -> None:
    given = odd()
    arrived = tomllib.loads(content(given))
    assert arrived == without_nothing(given)


def without_nothing(tables: dict[str, Any]) -> dict[str, Any]:
    return {k: without_nothing(v) if isinstance(v, dict) else v for k, v in tables.items() if v is not None}


def test_the_file_is_one_that_a_person_reads(tmp_path: Path) -> None:
    settings = {**SMALL, "zookeeper": {"tick_time": 1000, "extra": {"a.b": 7}}, "timing": {"recover_interval": None}}
    assert content(settings) == zkboot_toml(settings)
    path = tmp_path / "zkboot.toml"
    path.write_text(content(settings))
    assert path.read_text().splitlines() == [
        'cluster = "orders"',
        "",
        "[aws]",
        'bucket = "my-zookeeper"',
        "",
        "[timing]",
        "",
        "[zookeeper]",
        "tick_time = 1000",
        "",
        "[zookeeper.extra]",
        '"a.b" = 7',
    ]
    loaded = zkboot_settings.load(str(path))
    assert (loaded.cluster, loaded.zookeeper.tick_time, loaded.zookeeper.extra) == ("orders", 1000, {"a.b": 7})
    origin = zkboot_settings.load_with_origins(str(path), {}).origin
    assert origin("zookeeper.tick_time") == f"{path}:9"


@pytest.mark.parametrize("settings", [SMALL, odd(), every_key()], ids=["small", "odd", "every key"])
def test_cloud_init_takes_it(settings: dict[str, Any], tmp_path: Path) -> None:
    if shutil.which("cloud-init") is None:
        pytest.skip("SKIPPED, NOT PROVED: cloud-init is not on this machine, so it has not checked the user data")
    path = tmp_path / "user-data.yaml"
    path.write_text(user_data(settings))
    done = subprocess.run(["cloud-init", "schema", "--config-file", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Valid" in done.stdout, done.stdout + done.stderr


def test_it_is_far_below_what_ec2_takes() -> None:
    assert len(user_data(SMALL)) < 1500
    assert len(user_data(every_key())) < 8192, "EC2 takes 16,384 bytes"


# --- the commands


STANDIN = """#!/bin/sh
echo "$*" >>"{folder}/called"
read -r code <"{folder}/$1" || code=0
exit "$code"
"""


class Calls:
    """The user data's commands with a stand-in for zkboot."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("zkboot", "systemctl"):
            (folder / name).write_text(STANDIN.format(folder=folder))
            (folder / name).chmod(0o755)

    def run(self, **codes: int) -> tuple[list[str], int]:
        """What was called of zkboot, in order, and the exit code, which cloud-init reports."""
        for name in ("wait", "bootstrap", "timers", "start"):
            (self._folder / name).write_text(f"{codes.get(name, 0)}\n")
        (self._folder / "called").write_text("")
        script = self._folder / "runcmd"
        script.write_text(f"#!/bin/sh\n{runcmd()}\n")  # as cloud-init's runcmd writes it
        script.chmod(0o700)
        done = subprocess.run([script], env={"PATH": f"{self._folder}:/usr/bin:/bin"}, check=False)
        units, *calls = (self._folder / "called").read_text().splitlines()
        assert units == "start zkboot-volume.service zkboot-logs.service"
        return calls, done.returncode


@pytest.mark.parametrize(
    ("codes", "called", "result"),
    [
        ({}, ["wait", "bootstrap", "timers"], 0),
        ({"wait": 1}, ["wait", "timers"], 1),
        ({"wait": 4}, ["wait", "timers"], 4),
        ({"bootstrap": 1}, ["wait", "bootstrap", "timers"], 1),
        ({"bootstrap": 4}, ["wait", "bootstrap", "timers"], 4),
        ({"bootstrap": 137}, ["wait", "bootstrap", "timers"], 137),
        ({"start": 1}, ["wait", "bootstrap", "timers"], 0),
        ({"timers": 1}, ["wait", "bootstrap", "timers"], 1),
        ({"wait": 2, "timers": 2}, ["wait", "timers"], 2),
    ],
    ids=str,
)
def test_timers_are_switched_on_whatever_came_before_and_cloud_init_hears_the_result(
    codes: dict[str, int], called: list[str], result: int, tmp_path: Path
) -> None:
    calls = Calls(tmp_path)
    assert calls.run(**codes) == (called, result)
    assert calls.run() == (["wait", "bootstrap", "timers"], 0), "run again"
