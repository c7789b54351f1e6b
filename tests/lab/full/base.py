"""What Debian's own AMI is to the lab: a Debian 13 root folder, made once by mmdebstrap and kept in the cache.

Debian's cloud image is this and a kernel. Its cloud-init is told by a file of the lab that the datasource is EC2's, and that
network and udev are a container's.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.lab.errors import NotPossibleHere
from tests.lab.full import apt

RELEASE = "trixie"
OWNER = "136693071363"  # Debian's account
NAME = "debian-13-amd64-20260101-1000"  # as Debian names them: debian-13-ARCHITECTURE-DATE-BUILD
PACKAGES = (
    *("systemd-sysv", "dbus", "udev", "libpam-systemd", "libnss-myhostname", "cloud-init", "openssh-server", "sudo", "python3"),
    *("iproute2", "iputils-ping", "procps", "kmod", "e2fsprogs", "ca-certificates", "curl", "less", "apt-utils", "netplan.io"),
    *("systemd-resolved", "libnss-resolve", "systemd-timesyncd", "unattended-upgrades"),
)
CLOUD_INIT = """\
# Of the lab: a container has no firmware that says "EC2", no network of its own to set up, no udev.
datasource_list: [Ec2]
datasource: {Ec2: {metadata_urls: ["http://169.254.169.254"]}}
network: {config: disabled}
updates: {network: {when: [boot-new-instance]}}
locale: false
system_info: {default_user: {name: admin}}
"""
FILES = {
    "etc/cloud/cloud.cfg.d/95_lab.cfg": CLOUD_INIT,
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
    "etc/machine-id": "",
    "etc/apt/sources.list.d/debian.sources": apt.sources(apt.IN_THE_LAB, RELEASE),
}
LINKS = {"etc/resolv.conf": "../run/systemd/resolve/stub-resolv.conf"}
GONE = ("etc/hostname", "var/lib/dbus/machine-id", "etc/apt/sources.list", "etc/apt/apt.conf.d/99mmdebstrap")


def cache() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zkboot"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def ensure(tell: Callable[[str], None]) -> Path:
    """The root folder, made unless it is there. Raises NotPossibleHere with mmdebstrap's last words."""
    inputs = repr((RELEASE, PACKAGES, FILES, LINKS, GONE, apt.leniency(), platform.machine()))
    folder = cache() / f"debian-13-{hashlib.sha256(inputs.encode()).hexdigest()[:12]}"
    with locked(folder):
        if not folder.exists():
            tell(f"making a Debian 13 root with mmdebstrap in {folder} (about a minute, once)")
            _make(folder)
    return folder


class locked:
    """`with locked(FOLDER):` one process at a time makes it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder.with_name(folder.name + ".lock")

    def __enter__(self) -> None:
        self._held = os.open(self._file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._held, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._held)


def _make(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="zkboot-lab-") as work:
        sources = Path(work) / "debian.sources"
        sources.write_text(apt.sources(apt.mirrors(), RELEASE))
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        command = ["mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", f"--include={','.join(PACKAGES)}"]
        command += [f"--aptopt={line.rstrip(';')}" for line in apt.leniency()]
        done = subprocess.run([*command, RELEASE, str(part), str(sources)], capture_output=True, text=True, cwd="/", check=False)
    if done.returncode:
        shutil.rmtree(part, ignore_errors=True)
        raise NotPossibleHere(f"mmdebstrap failed ({done.returncode}):\n" + "\n".join(done.stderr.splitlines()[-15:]))
    shutil.rmtree(part / "etc/apt/sources.list.d")
    for name in GONE:
        (part / name).unlink(missing_ok=True)
    leniency = {"etc/apt/apt.conf.d/95lab": "\n".join(apt.leniency()) + "\n"} if apt.leniency() else {}
    for name, text in (FILES | leniency).items():
        (part / name).unlink(missing_ok=True)
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        (part / name).write_text(text)
    for name, target in LINKS.items():
        (part / name).unlink(missing_ok=True)
        (part / name).symlink_to(target)
    part.rename(folder)
