"""What the figures were measured on."""

import os
import platform
import re
import subprocess
from pathlib import Path

from tests.lab.settings import FASTER, zookeeper_home


def describe() -> dict[str, str]:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    one, five, fifteen = os.getloadavg()
    return {
        "processor": f"{os.cpu_count()} x {processor()}",
        "memory": f"{memory / 2**30:.0f} GiB",
        "system": platform.platform(),
        "python": platform.python_version(),
        "java": java(),
        "zookeeper": next(zookeeper_home().glob("lib/zookeeper-[0-9]*.jar")).stem.removeprefix("zookeeper-"),
        "load at the beginning": f"{one:.2f} {five:.2f} {fifteen:.2f}",
        "faster than production": ", ".join(f"{name} {value}" for table in FASTER.values() for name, value in dict(table).items())
        + " (tick_time in ms, the servers by hand too)",
    }


def processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def java() -> str:
    done = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True)
    return done.stderr.splitlines()[0]
