#!/usr/bin/env python3
"""Make the class-data archive of a ZooKeeper home for the Java that is here: servers start in about two thirds of the time.

    class_archive.py HOME     print the archive, HOME/zookeeper-<JVM build>.jsa, made unless it is there

A server runs once, alone, on a free loopback port and an empty folder, and the JVM writes the classes that it loaded
when it ends. HOME/zookeeper.jsa is a link to the archive made for the Java that was here last. Start servers with

    java -XX:SharedArchiveFile=HOME/zookeeper.jsa -Xshare:auto -cp <the jars of HOME/lib, sorted by name> ...

A JVM of another build, or another class path, ignores the archive. A folder in the class path forbids archives, so
logback's file is named by -Dlogback.configurationFile. Java is JAVA_HOME's, else the one on the PATH.
Standard library only. Exit codes: 0 done, 1 failed, 2 usage.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

START_DEADLINE = 60  # seconds until the server of the training run has to answer `srvr`
STOP_DEADLINE = 60  # seconds until it has to be gone, the archive written

SETTINGS = """\
dataDir={data}
tickTime=500
initLimit=20
syncLimit=10
standaloneEnabled=false
reconfigEnabled=true
4lw.commands.whitelist=*
admin.serverAddress=127.0.0.1
admin.serverPort={admin}
server.1=127.0.0.1:{quorum}:{election}:participant;127.0.0.1:{client}
"""


class ArchiveError(Exception):
    """Why there is no archive. Servers start without one, only slower."""


def main(arguments: list[str]) -> int:
    match arguments:
        case [folder] if not folder.startswith("-"):
            home = Path(folder).resolve()
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    try:
        print(class_archive(home))
    except ArchiveError as error:
        print(f"packer/zookeeper: no class-data archive: {error}", file=sys.stderr)
        return 1
    return 0


def class_archive(home: Path) -> Path:
    """The archive of this home for this Java, made unless it is there. Raises ArchiveError."""
    archive = home / f"zookeeper-{jvm_build()}.jsa"
    if not archive.exists():
        print(f"making the class-data archive {archive.name} by one run of a server", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=home, prefix=".training-") as folder:
            train(Path(folder), server_arguments(home, Path(folder))).rename(archive)
    link_to(archive)
    return archive


def jvm_build() -> str:
    """What an archive is bound to, for example `17.0.15+6-Debian-1deb12u1-amd64`."""
    try:
        told = subprocess.run([java(), "-XshowSettings:properties", "-version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ArchiveError(f"{java()} does not tell its version ({error}): install Java 17 or newer") from error
    properties = dict(re.findall(r"^\s+(\S+) = (.*)$", told.stderr, re.MULTILINE))
    return re.sub(r"[^\w.+-]", "_", f"{properties['java.vm.version']}-{properties['os.arch']}")


def java() -> str:
    return str(Path(os.environ["JAVA_HOME"]) / "bin/java") if os.environ.get("JAVA_HOME") else "java"


def server_arguments(home: Path, folder: Path) -> list[str]:
    return [
        "-Xmx128m",
        "-XX:+UseSerialGC",
        "-cp",
        ":".join(str(jar) for jar in sorted((home / "lib").glob("*.jar"))),
        f"-Dlogback.configurationFile={home / 'conf/logback.xml'}",
        "org.apache.zookeeper.server.quorum.QuorumPeerMain",
        str(folder / "zoo.cfg"),
    ]


def train(folder: Path, arguments: list[str]) -> Path:
    """The archive, made in the folder by a server with these arguments of java, which name zoo.cfg in the folder."""
    made = folder / "zookeeper.jsa"
    ports = dict(zip(("client", "quorum", "election", "admin"), free_ports(4), strict=True))
    data = folder / "data"
    data.mkdir()
    (data / "myid").write_text("1\n")
    (folder / "zoo.cfg").write_text(SETTINGS.format(data=data, **ports))
    command = [java(), f"-XX:ArchiveClassesAtExit={made}", *arguments]
    log = folder / "server.log"
    with log.open("w") as output, subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT) as server:
        try:
            wait_until_serving(server, ports["client"], log)
            server.terminate()
            server.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired as error:
            raise ArchiveError(f"the server was not gone {STOP_DEADLINE} s after SIGTERM") from error
        finally:
            server.kill()
    if not made.exists():
        raise ArchiveError(f"this JVM wrote none; the end of the server's log:\n{tail(log)}")
    return made


def free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [taken.getsockname()[1] for taken in sockets]


def wait_until_serving(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE
    while b"Mode: leader" not in srvr(port):
        if server.poll() is not None:
            raise ArchiveError(f"the server ended with exit code {server.returncode}; the end of its log:\n{tail(log)}")
        if time.monotonic() > deadline:
            raise ArchiveError(f"the server did not serve within {START_DEADLINE} s; the end of its log:\n{tail(log)}")
        time.sleep(0.05)


def srvr(port: int) -> bytes:
    """The answer to the four-letter word `srvr`, empty where nobody answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(b"srvr")
            return b"".join(iter(lambda: connection.recv(4096), b""))
    except OSError:
        return b""


def tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-10:])


def link_to(archive: Path) -> None:
    """Let zookeeper.jsa name the archive, by renaming: a server that starts meanwhile finds one or the other."""
    link = archive.with_name("zookeeper.jsa")
    if link.is_symlink() and os.readlink(link) == archive.name:
        return
    new = archive.with_name(f".zookeeper.jsa.{os.getpid()}")
    new.symlink_to(archive.name)
    new.replace(link)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
