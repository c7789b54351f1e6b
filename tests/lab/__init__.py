"""One emulated AWS region on one Linux machine: real zkboot and real ZooKeeper servers on loopback, emulated hardware and AWS.

Nothing is imported here: every start of a node's program passes through this package.
"""
