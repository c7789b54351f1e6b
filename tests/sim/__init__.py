"""A simulated world under the real loop: every node runs the unchanged `reconcile.turn`; AWS, disks and ZooKeeper are simulated.

`python -m tests.sim --seed N` replays one schedule and prints its history; `--count N` runs many.
"""
