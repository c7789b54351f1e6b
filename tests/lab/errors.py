"""What the lab raises on purpose."""


class LabError(Exception):
    """The lab could not do what was asked of it."""


class NotReached(LabError, AssertionError):
    """A condition was not reached before its deadline; the message ends with each machine's last sentences."""


class NotPossibleHere(LabError):
    """A fault that this machine cannot make (no root, no network namespaces); tests turn it into a loud skip."""
