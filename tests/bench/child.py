"""`python -I -S child.py COMMAND…`: run it, and print its exit code, wall seconds, CPU seconds and peak memory in KiB.

Alone in a small process: what exec(2) replaces counts in a process's peak, so a large parent would hide a small child.
"""

import os
import sys
import time


def main() -> None:
    silence = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    began = time.monotonic()
    pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=silence)
    _, status, used = os.wait4(pid, 0)
    wall = time.monotonic() - began
    print(os.waitstatus_to_exitcode(status), wall, used.ru_utime + used.ru_stime, used.ru_maxrss)


main()
