"""What the image holds, and what it must not."""

import os
import re
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.tools import PACKER, ROOT, inside, run

ZOOKEEPER = 480  # user and group: fixed, as a data volume outlives an image
# Place: mode, owner.
PLACES = {
    "etc/zkboot": (0o755, 0),
    "etc/zookeeper": (0o700, ZOOKEEPER),
    "opt/zkboot": (0o755, 0),
    "opt/zookeeper/lib": (0o755, 0),
    "opt/zookeeper/conf/logback.xml": (0o644, 0),
    "opt/zookeeper/zookeeper.jsa": (0o644, 0),
    "usr/local/sbin/zkboot-volume": (0o755, 0),
    "usr/share/zkboot/image": (0o644, 0),
    "var/lib/zkboot": (0o700, 0),
    "var/lib/zookeeper": (0o700, ZOOKEEPER),
}
COPIES = {
    "zookeeper.service": "etc/systemd/system/zookeeper.service",
    "zkboot-recover.service": "etc/systemd/system/zkboot-recover.service",
    "zkboot-ended.service": "etc/systemd/system/zkboot-ended.service",
    "zkboot-backup.service": "etc/systemd/system/zkboot-backup.service",
    "zkboot-backup.timer": "etc/systemd/system/zkboot-backup.timer",
    "zkboot-drill.service": "etc/systemd/system/zkboot-drill.service",
    "zkboot-drill.timer": "etc/systemd/system/zkboot-drill.timer",
    "zkboot-recover.timer": "etc/systemd/system/zkboot-recover.timer",
    "zkboot-logs.service": "etc/systemd/system/zkboot-logs.service",
    "zkboot-volume.service": "etc/systemd/system/zkboot-volume.service",
    "zkboot-volume": "usr/local/sbin/zkboot-volume",
    "volume.rules": "etc/udev/rules.d/90-zkboot-volume.rules",
    "tmpfiles.conf": "etc/tmpfiles.d/zkboot.conf",
    "sysctl.conf": "etc/sysctl.d/90-zkboot.conf",
    "journald.conf": "etc/systemd/journald.conf.d/90-zkboot.conf",
    "resolved.conf": "etc/systemd/resolved.conf.d/90-zkboot.conf",
    "chrony.conf": "etc/chrony/chrony.conf",
}
# What a build leaves behind that must be gone, as patterns below the root.
LEFT_OVER = (
    *(
        "etc/ssh/ssh_host_*",
        "root/.ssh/*",
        "home/*/.ssh/*",
        "root/.*_history",
        "home/*/.*_history",
        "root/.cache",
        "home/*/.cache",
    ),
    *("etc/hostname", "var/lib/dbus/machine-id", "var/lib/systemd/random-seed", "var/lib/systemd/credential.secret"),
    *("var/lib/cloud/*", "var/log/cloud-init*", "var/log/journal/*", "var/log/apt/*", "var/log/dpkg.log", "var/log/wtmp"),
    *("var/lib/apt/lists/*", "var/cache/apt/archives/*.deb", "var/cache/apt/*.bin", "var/backups/*", "var/lib/wtmpdb/*"),
    *("tmp/*", "var/tmp/*", "var/lib/chrony/*", "etc/netplan/50-cloud-init.yaml", "etc/apt/apt.conf.d/*proxy*", "etc/passwd-"),
    "etc/sudoers.d/90-cloud-init-users",
    *("var/lib/zookeeper/*", "var/lib/zkboot/*", "etc/zookeeper/*", "etc/zkboot/*", "swapfile"),
)
TEXT = 256 * 1024  # bytes; what is longer than that is no configuration


def test_each_place_has_its_mode_and_owner(image: Path) -> None:
    for place, (mode, owner) in PLACES.items():
        found = (image / place).stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (mode, owner, owner), place


@pytest.mark.parametrize("name", COPIES)
def test_each_file_is_in_its_place(image: Path, name: str) -> None:
    place = image / COPIES[name]
    assert place.read_bytes() == (PACKER / "files" / name).read_bytes()
    assert place.stat().st_uid == 0


def test_no_file_of_ours_is_forgotten() -> None:
    assert {path.name for path in (PACKER / "files").iterdir()} == set(COPIES)


def test_the_server_cannot_change_its_own_program(image: Path) -> None:
    wrong = [path for path in below(image / "opt") if path.lstat().st_uid != 0 or others_write(path)]
    assert wrong == []


def test_nothing_at_all_is_writable_by_everybody(image: Path) -> None:
    wrong = [path for path in below(image) if others_write(path)]
    assert {str(path.relative_to(image)) for path in wrong} <= {"tmp", "var/tmp", "run/lock", "dev/shm", "dev/mqueue"}


def test_the_versions_are_those_that_it_says(image: Path) -> None:
    said = dict(line.split("=", 1) for line in (image / "usr/share/zkboot/image").read_text().splitlines())
    pinned = (PACKER / "versions.pkr.hcl").read_text()
    assert f'"{said["ZOOKEEPER_VERSION"]}"' in pinned
    assert os.readlink(image / "opt/zookeeper") == f"zookeeper-{said['ZOOKEEPER_VERSION']}"
    assert (image / f"opt/zookeeper/lib/zookeeper-{said['ZOOKEEPER_VERSION']}.jar").exists()
    assert inside(image, "zkboot", "version").stdout == f"zkboot {said['ZKBOOT_VERSION']}\n"
    assert f'openjdk version "{said["JAVA_VERSION"]}.' in inside(image, "java", "-version").stdout
    assert 'VERSION_ID="13"' in (image / "etc/os-release").read_text()


def test_each_jar_is_the_one_that_is_pinned(image: Path) -> None:
    """The lab's image is made of Maven's jars; Apache's tarball has others beside, and a pin of its own."""
    pinned = dict(reversed(line.split()) for line in (PACKER / "zookeeper/SHA256SUMS").read_text().splitlines())
    found = run("sh", "-c", f"cd {image}/opt/zookeeper/lib && sha256sum *").stdout.splitlines()
    assert {name: digest for digest, name in (line.split() for line in found)} == pinned


def test_zkboot_and_its_dependencies_are_the_locked_ones(image: Path) -> None:
    packages = next((image / "opt/zkboot/lib").glob("python3.*/site-packages"))
    found = {path.name.removesuffix(".dist-info").replace("_", "-").lower() for path in packages.glob("*.dist-info")}
    locked = re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "requirements/node.txt").read_text(), re.MULTILINE)
    names = {f"{name}-{version}" for name, version in locked}
    assert {name for name in found if not name.startswith("zkboot-")} == names
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"] == "zkboot"
    assert not list(packages.glob("*.dist-info/direct_url.json")), "the build's own paths"


def test_the_class_data_archive_is_taken_by_the_server_that_zkboot_starts(image: Path) -> None:
    """With -Xshare:on an archive that does not fit (another class path, another JVM) is fatal; with `auto` it is only slower."""
    said = inside(image, "/opt/zkboot/bin/python", "-c", TAKE_THE_ARCHIVE)
    assert "Invalid config" in said.stdout and "archive" not in said.stdout.lower(), said.stdout


TAKE_THE_ARCHIVE = """
import os
from zkboot.settings_keys import Aws, Node, Settings
from zkboot.zookeeper import service
settings = Settings("test", Aws("bucket"), Node(conf_dir="/nowhere", service="process"))
arguments = service.arguments(settings, 1024**3)
arguments[arguments.index("-Xshare:auto")] = "-Xshare:on"
os.execvp("java", ["java", "-Xlog:cds=warning", "-Xlog:class+path=warning", *arguments])
"""


def test_the_user_has_no_shell_and_no_password(image: Path) -> None:
    users = {line.split(":")[0]: line.split(":") for line in (image / "etc/passwd").read_text().splitlines()}
    assert users["zookeeper"][2:] == ["480", "480", "ZooKeeper", "/var/lib/zookeeper", "/usr/sbin/nologin"]
    passwords = [line.split(":")[1] for line in (image / "etc/shadow").read_text().splitlines()]
    assert all(password[:1] in "!*" and password for password in passwords)


def test_nothing_is_left_over(image: Path) -> None:
    assert [str(path) for pattern in LEFT_OVER for path in image.glob(pattern)] == []
    assert (image / "etc/machine-id").read_bytes() == b""
    assert [
        path for path in (image / "var/log").rglob("*") if path.is_file() and path.name != "README" and path.stat().st_size
    ] == []


def test_no_place_of_the_build_is_named(image: Path) -> None:
    """Neither the proxy nor the mirror that the builder's packages came through, nor a path of whoever built it."""
    wrong = [
        str(path.relative_to(image))
        for folder in ("etc", "opt", "usr/local", "var/lib/dpkg", "root", "home")
        for path in below(image / folder)
        if path.is_file() and not path.is_symlink() and path.stat().st_size < TEXT and names_a_place(path)
    ]
    assert wrong == []


def names_a_place(path: Path) -> bool:
    text = path.read_bytes()
    return any(place.encode() in text for place in (str(ROOT), "/tmp/zkboot-image", "http_proxy=http", "Acquire::http::Proxy"))


def test_what_updates_itself_is_off(image: Path) -> None:
    for timer in ("apt-daily.timer", "apt-daily-upgrade.timer"):
        assert os.readlink(image / "etc/systemd/system" / timer) == "/dev/null"
    assert not (image / "usr/bin/unattended-upgrade").exists()


def test_there_is_no_swap(image: Path) -> None:
    fstab = image / "etc/fstab"
    assert not fstab.exists() or " swap " not in fstab.read_text()


def test_it_says_what_it_ships(image: Path) -> None:
    for name in ("LICENSE", "NOTICE"):
        assert (image / "usr/share/doc/zkboot" / name).read_bytes() == (ROOT / name).read_bytes()


def below(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        for name in (*folders, *names):
            yield Path(root) / name


def others_write(path: Path) -> bool:
    mode = path.lstat().st_mode
    return not stat.S_ISLNK(mode) and not stat.S_ISCHR(mode) and bool(mode & stat.S_IWOTH)
