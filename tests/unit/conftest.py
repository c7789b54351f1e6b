"""Hypothesis as in CI, wherever it runs: the same examples each time, none too slow, nothing kept of an earlier run."""

from hypothesis import settings

settings.load_profile("ci")
