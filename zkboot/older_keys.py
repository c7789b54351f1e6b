"""Keys of AWS that stand in the settings, as the older tool had them: `backup.aws_access_key` and `backup.aws_secret_key`.

They become a profile: what reads the settings sees its name in `backup.profile` and nothing else, so that nothing can print the
keys; they themselves lie in `<state_dir>/credentials`, in AWS's own format, for the settings' owner alone.

A light turn reads the settings: nothing dear is imported here.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from zkboot.zookeeper import files

ACCESS, SECRET = NAMES = ("backup.aws_access_key", "backup.aws_secret_key")
PROFILE = "keys-of-the-settings"
NAMED = "backup.profile"
READ_BY_OTHERS = 0o077
FILE = """\
# Written by zkboot from backup.aws_access_key and backup.aws_secret_key of its settings; removed when they are.
[{profile}]
aws_access_key_id = {access}
aws_secret_access_key = {secret}
"""


class Keys(NamedTuple):
    access: str
    secret: str

    def __repr__(self) -> str:
        return "Keys(...)"


def take(given: dict[str, Any], overrides: Mapping[str, Any]) -> tuple[Keys | None, dict[str, str]]:
    """The keys out of the settings of a file (values by dotted key), where the profile takes their place; and what is wrong with
    them, by key, never with their value. `overrides` are those of the command line, where they must not stand."""
    typed = {
        name: "a command line is seen by everyone on this machine: write it into the file" for name in NAMES if name in overrides
    }
    found = {name: given.pop(name) for name in NAMES if name in given}
    if not found:
        return None, typed
    wrong = {name: "must be one word, in quotes" for name, value in found.items() if not _is_word(value)}
    wrong |= {name: "is missing: an access key and its secret key go together" for name in NAMES if name not in found}
    if given.get(NAMED) or overrides.get(NAMED):
        wrong |= {NAMED: f"names other credentials than {ACCESS} and its secret key: remove one of the two"}
    given[NAMED] = PROFILE
    return (None if wrong or typed else Keys(found[ACCESS], found[SECRET])), wrong | typed


def keep(state_dir: str, keys: Keys) -> None:
    """As a profile. Raises OSError."""
    text = FILE.format(profile=PROFILE, **keys._asdict())
    files.make_folder(state_dir)
    if files.read_text(path(state_dir)) != text:
        files.write(path(state_dir), text)


def forget(state_dir: str) -> None:
    """Where the settings hold none any more; what is not this user's to remove stays for who may."""
    with suppress(OSError):
        files.remove(path(state_dir))


def path(state_dir: str) -> str:
    return f"{state_dir}/credentials"


def warning(origin: str, state_dir: str) -> str:
    """`origin` is the settings' file."""
    open_to = f"; others than its owner can read {origin}: chmod 600 {origin}" if os.stat(origin).st_mode & READ_BY_OTHERS else ""
    return (
        f"warning: {origin} holds keys of AWS ({ACCESS}), as the older tool's settings did. They are kept as profile {PROFILE} in"
        f" {path(state_dir)}, for backups alone. Let the instance role reach the bucket and remove them, or move them into a"
        f" profile of /etc/zkboot/credentials and name that in {NAMED}{open_to}"
    )


def _is_word(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and bool(value) and " " not in value
