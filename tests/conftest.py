"""Which tests one worker takes, one after the other, when several share the work (`pytest -n 2`)."""

from typing import Any

from xdist.scheduler import LoadScopeScheduling

# Their files share a region, an image or an ensemble, which is dear to make and there once a process.
TOGETHER = ("tests/scenarios/", "tests/full/", "tests/image/", "tests/terraform/", "tests/policy/")


class ByWhatIsShared(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in TOGETHER if nodeid.startswith(folder)), nodeid.partition("::")[0])


def pytest_xdist_make_scheduler(config: Any, log: Any) -> ByWhatIsShared:
    return ByWhatIsShared(config, log)
