"""A stand-in for zkboot, to test the lab itself: `bootstrap` and `recover` run a raw server with a static configuration of
three members, the first machine of each zone. It heals nothing."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from tests.lab import processes


def main(command: str) -> None:
    with open(os.environ["ZKBOOT_CONFIG"], "rb") as file:
        settings = tomllib.load(file)
    print(f"stand-in: {command}", flush=True)
    if command in ("bootstrap", "recover") and not serves(settings):
        print("starting the server", flush=True)
        start(settings)


def serves(settings: dict[str, Any]) -> bool:
    pid = processes.pid_of(Path(settings["node"]["run_dir"]) / "zookeeper.pid")
    return bool(pid) and processes.alive(pid)


def start(settings: dict[str, Any]) -> None:
    node, zookeeper = settings["node"], settings["zookeeper"]
    address = os.environ["ZKBOOT_LAB_ADDRESS"]
    first, network, zone, _ = address.split(".")
    data, configuration, run = Path(node["data_dir"]), Path(node["conf_dir"]) / "zoo.cfg", Path(node["run_dir"])
    data.mkdir(exist_ok=True)
    (data / "myid").write_text(zone)
    servers = [f"server.{z}={first}.{network}.{z}.4:2888:3888;{first}.{network}.{z}.4:2181" for z in (1, 2, 3)]
    lines = [
        f"tickTime={zookeeper['tick_time']}",
        "initLimit=100",
        "syncLimit=10",
        f"dataDir={data}",
        "admin.enableServer=false",
        *servers,
    ]
    configuration.write_text("\n".join(lines) + "\n")
    home = Path(node["zookeeper_home"])
    flags = [*zookeeper["jvm_flags"], f"-Xmx{zookeeper['heap']}", f"-Dlogback.configurationFile={home}/conf/logback.xml"]
    if zookeeper["shared_archive"]:
        flags += [f"-XX:SharedArchiveFile={zookeeper['shared_archive']}", "-Xshare:auto"]
    jars = ":".join(str(jar) for jar in sorted(home.glob("lib/*.jar")))
    program = ["java", *flags, "-cp", jars, "org.apache.zookeeper.server.quorum.QuorumPeerMain", str(configuration)]
    with open(Path(node["state_dir"]) / "zookeeper.log", "ab") as log:
        server = subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    (run / "zookeeper.wanted").touch()
    (run / "zookeeper.pid").write_text(f"{server.pid}\n")


if __name__ == "__main__":
    main(sys.argv[1])
