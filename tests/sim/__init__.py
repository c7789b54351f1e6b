"""A simulated world under the real loop: every node runs the unchanged `reconcile.turn`; AWS, disks and ZooKeeper are simulated.

`python -m tests.sim --seed N` replays one schedule and prints its history; `python -m tests.sim.soak` plays very many.
`tests.sim.clauses` tells the races that the policy's clauses decide, `tests.sim.known_bad` what bad policies lose.
"""
