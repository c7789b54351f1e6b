"""A lab machine's zkboot.toml: the production defaults, but where the lab runs faster."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Where the lab runs faster than production; the demo and the figures say so.
FASTER = {
    "zookeeper": {"tick_time": 300},  # ms, 2000
    "timing": {
        "recover_interval": 3,
        "report_interval": 2,
        "consistency": 3,
        "turn_pause": 0.5,
        "start_limit": 20,
        "bootstrap_timeout": 300,
    },
}
# For a story in which an election, or a start that is given up, would be another one: on a busy machine there may be either.
PATIENT = {"zookeeper": {"sync_limit": 20}, "timing": {"start_limit": 120, "ask_timeout": 5}}


def zookeeper_home() -> Path:
    """Raises FileNotFoundError with what to do."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = Path(os.environ.get("ZOOKEEPER_HOME") or cache / "zkboot/zookeeper-3.9.5")
    if not any(home.glob("lib/zookeeper-[0-9]*.jar")):
        raise FileNotFoundError(f"no ZooKeeper in {home}: run `make zookeeper`, or set ZOOKEEPER_HOME")
    return home


def settings(cluster: str, aws: Mapping[str, Any], root: Path, changes: Mapping[str, Any]) -> dict[str, Any]:
    """All of one machine's settings; `changes` win, table by table."""
    home = zookeeper_home()
    archive = home / "zookeeper.jsa"
    tables: dict[str, Any] = {
        "cluster": cluster,
        "aws": dict(aws),
        "node": {
            "conf_dir": str(root / "etc/zookeeper"),
            "data_dir": str(root / "vol/data"),
            "state_dir": str(root / "var/zkboot"),
            "run_dir": str(root / "run/zkboot"),
            "volume": str(root / "vol"),
            "service": "process",
            "zookeeper_home": str(home),
        },
        "zookeeper": {
            **FASTER["zookeeper"],
            "heap": "128m",
            "jvm_flags": ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"],
            "shared_archive": str(archive) if archive.exists() else "",
        },
        "timing": dict(FASTER["timing"]),
    }
    return merged(tables, changes)


def merged(tables: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(tables)
    for key, value in changes.items():
        result[key] = merged(result.get(key, {}), value) if isinstance(value, Mapping) else value
    return result
