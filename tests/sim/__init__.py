"""A simulated world under the real loop: `reconcile.turn` runs unchanged, on every node, against simulated AWS, disks and ZooKeeper.

`python -m tests.sim --seed N` replays one schedule and prints its history; `--count N` runs many.
"""
