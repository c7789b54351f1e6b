"""The golden image as the lab has it: built by the real Packer from the real template, then kept in the cache by its inputs."""

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.lab.errors import LabError
from tests.lab.full import base
from tests.lab.full.ec2 import Image
from tests.lab.full.proxy import Proxy
from tests.lab.full.region import FullRegion
from tests.lab.iam import ACCOUNT, ADMIN_KEY, ADMIN_SECRET
from tests.lab.machines import CHECKOUT
from tests.lab.region import REGION
from tests.lab.settings import zookeeper_home

INPUTS = ("packer", "zkboot", "requirements/node.txt", "pyproject.toml", "LICENSE", "NOTICE")
KEPT_SECONDS = 2 * 86400  # an unused image in the cache
LAST_LINES = 25

Tell = Callable[[str], None]


def ensure(tell: Tell) -> Image:
    """The image of this checkout, built unless it is in the cache. No region may be open. Raises LabError."""
    root = base.ensure(tell)
    folder = base.cache() / f"image-{state(root)}"
    with base.locked(folder):
        if not (folder / "image.json").exists():
            tell("building the image with Packer (a few minutes; again only when packer/ or zkboot/ change)")
            shutil.rmtree(folder, ignore_errors=True)
            built = build(root, folder, tell)
            (folder / "image.json").write_text(json.dumps(built, indent=1))
            forget_old()
    os.utime(folder)
    os.utime(root)
    told = json.loads((folder / "image.json").read_text())
    return Image(told["name"], ACCOUNT, (root, folder / "disk"), told["tags"])


def state(root: Path) -> str:
    """A hash of all that goes into the image."""
    digest = hashlib.sha256(root.name.encode())
    for file in files():
        digest.update(f"{file.relative_to(CHECKOUT)} {os.access(file, os.X_OK)}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def files() -> Iterator[Path]:
    for name in INPUTS:
        place = CHECKOUT / name
        for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".md":
                yield file


def build(root: Path, folder: Path, tell: Tell, *arguments: str) -> dict[str, Any]:
    """Let Packer build, and keep the disk of what it registered in `folder`; what is told of the image."""
    call(["packer/prepare"], os.environ, tell)
    tarball = distribution()
    with FullRegion() as region:
        region.register(Image(base.NAME, base.OWNER, (root,), {}))
        proxy = Proxy(f"{region.network.PREFIX}.0.2", region.network.outside, base.cache() / "packages")
        try:
            variables = {
                "region": REGION,
                "endpoint": region.endpoint,
                "skip_region_validation": "true",
                "connection": "private_ip",
                "subnet_id": region.subnet(),
                "http_proxy": proxy.url,
                "zookeeper_tarball": str(tarball),
                "zookeeper_sha512": hashlib.sha512(tarball.read_bytes()).hexdigest(),
                "zookeeper_signature": "none",
            }
            chosen = [part for name, value in variables.items() for part in ("-var", f"{name}={value}")]
            call(["packer/build", *chosen, *arguments], environment(region), tell)
        finally:
            proxy.close()
        manifest = json.loads((CHECKOUT / "build/ami.json").read_text())
        made = next(run for run in manifest["builds"] if run["packer_run_uuid"] == manifest["last_run_uuid"])
        ids = dict(part.split(":") for part in made["artifact_id"].split(","))
        ami = region.client("ec2").describe_images(ImageIds=[ids[REGION]])["Images"][0]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder / "disk", ignore_errors=True)
        subprocess.run(["cp", "--archive", str(region.ec2.layers[ids[REGION]][-1]), str(folder / "disk")], check=True)
        return {"name": ami["Name"], "tags": {tag["Key"]: tag["Value"] for tag in ami["Tags"]}, "api": ami}


def environment(region: FullRegion) -> dict[str, str]:
    """Packer's: the region's administrator, and no calls home."""
    aws = {"AWS_ACCESS_KEY_ID": ADMIN_KEY, "AWS_SECRET_ACCESS_KEY": ADMIN_SECRET, "AWS_EC2_METADATA_DISABLED": "true"}
    return {**os.environ, **aws, "CHECKPOINT_DISABLE": "1", "AWS_ENDPOINT_URL": region.endpoint}


def call(command: list[str], env: Any, tell: Tell) -> None:
    """Each line as it comes. Raises LabError with the last ones."""
    process = subprocess.Popen(
        command,
        cwd=CHECKOUT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    lines = []
    try:
        for line in process.stdout:
            lines.append(line.rstrip())
            tell(lines[-1])
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if process.wait():
        raise LabError(f"{command[0]} failed ({process.returncode}):\n" + "\n".join(lines[-LAST_LINES:]))


def distribution() -> Path:
    """ZooKeeper as Apache packs it, made of what `make zookeeper` fetched."""
    home = zookeeper_home()
    version = next(home.glob("lib/zookeeper-[0-9]*.jar")).stem.removeprefix("zookeeper-")
    tarball = base.cache() / f"apache-zookeeper-{version}-bin.tar.gz"
    if not tarball.exists():
        part = tarball.with_name(f"{tarball.name}.part.gz")
        with tarfile.open(part, "w:gz", compresslevel=1) as archive:
            for name in ("lib", "conf"):
                archive.add(home / name, f"apache-zookeeper-{version}-bin/{name}", filter=nobodys)
        part.rename(tarball)
    return tarball


def nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def forget_old() -> None:
    """What no lab has used for days leaves the cache. A running lab's instances lie on theirs."""
    for pattern in ("image-*", "debian-13-*"):
        for path in base.cache().glob(pattern):
            if path.is_dir() and path.stat().st_mtime < time.time() - KEPT_SECONDS:
                shutil.rmtree(path)
