"""Every error that zkboot raises on purpose: one root, one exit code each.

A message says what happened, to what, and what to do next; only `--debug` shows a traceback.
"""

# Exit codes of every command.
DONE = 0
FAILED = 1
USAGE = 2
WAITING = 3
HALTED = 4


class ZkbootError(Exception):
    """The root of all errors zkboot raises on purpose."""

    exit_code = FAILED


class SettingsError(ZkbootError):
    """The settings cannot be used; the message lists every problem with file, line and key."""

    exit_code = USAGE


class UsageError(ZkbootError):
    """The command line cannot be used."""

    exit_code = USAGE


class UnknownFact(ZkbootError):
    """A fact could not be learned (timeout, throttling, access denied, connection refused): it is unknown, never absent."""

    exit_code = WAITING


class Stale(ZkbootError):
    """The world changed between the decision and its act (a compare-and-set lost): nothing was done, decide again."""

    exit_code = WAITING


class Halted(ZkbootError):
    """A person must decide before anything goes on."""

    exit_code = HALTED


class NewerSchema(UnknownFact):
    """A stored document has a newer schema than this zkboot understands: wait for the upgrade, never guess."""


class NoRoom(ZkbootError):
    """A disk is too full for what was to be written; the message names it, and how much is needed."""

    exit_code = WAITING


class Unfit(ZkbootError):
    """This node's settings do not fit what it was to take over; the message names the setting."""

    exit_code = WAITING


class Damaged(ZkbootError):
    """Stored bytes fail verification by content (seal, checksum, gap); the message names file and offset."""
