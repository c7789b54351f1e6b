"""Two builds from the same inputs hold the same files, and each is told to Terraform."""

import json
import re
from pathlib import Path

import pytest

from tests.image.compare import differences
from tests.image.conftest import mounted
from tests.image.tools import ROOT, need
from tests.lab.full import base
from tests.lab.full.image import build


@pytest.mark.long
def test_a_second_build_holds_the_same_files(image: Path, tmp_path: Path) -> None:
    need("packer")
    root = base.ensure(print)
    built = build(root, tmp_path, print)
    manifest = json.loads((ROOT / "build/ami.json").read_text())
    (made,) = [run for run in manifest["builds"] if run["packer_run_uuid"] == manifest["last_run_uuid"]]
    assert re.fullmatch(r"[a-z0-9-]+:ami-[0-9a-f]+", made["artifact_id"])
    assert made["custom_data"]["name"] == built["name"]
    with mounted((root, tmp_path / "disk")) as second:
        assert differences(image, second) == []
