"""`python -m tests.bench.writers HOSTS COUNT`: clients that write, one write after the other each, until standard input ends.

A process of its own, so that what is measured is not this interpreter sharing its time with the emulated region's. Says `ready`
when all are connected; in the end when each write was acknowledged (monotonic) and how long that took, as JSON, in seconds.
"""

import json
import sys
import threading
import time
from contextlib import suppress

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException

Write = tuple[float, float]


def main() -> None:
    hosts, count = sys.argv[1], int(sys.argv[2])
    writes: list[Write] = []
    ended, connected = threading.Event(), threading.Barrier(count + 1)
    threads = [threading.Thread(target=write, args=(hosts, number, writes, connected, ended)) for number in range(count)]
    for thread in threads:
        thread.start()
    connected.wait()
    print("ready", flush=True)
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()
    print(json.dumps(writes))


def write(hosts: str, number: int, writes: list[Write], connected: threading.Barrier, ended: threading.Event) -> None:
    client = KazooClient(hosts, timeout=30)
    client.start(30)
    try:
        client.ensure_path("/felt")
        path = client.create(f"/felt/{number}-", b"", sequence=True)
        connected.wait()
        while not ended.is_set():
            began = time.monotonic()
            with suppress(KazooException):
                client.set(path, b"x" * 200)
                now = time.monotonic()
                writes.append((now, now - began))
    finally:
        client.stop()
        client.close()


if __name__ == "__main__":
    main()
