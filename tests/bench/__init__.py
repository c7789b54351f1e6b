"""`make bench`: the figures, as ratios to doing it by hand on the same machine in the same run. No test asserts one."""
