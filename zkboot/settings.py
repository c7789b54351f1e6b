"""Reading the settings: `/etc/zkboot/zkboot.toml` and what overrides it, checked whole.

The keys are in `settings_keys`, what can be wrong with them in `settings_problems`.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from zkboot import older_keys, settings_problems
from zkboot.errors import SettingsError
from zkboot.settings_keys import EXTRA, KEYS, SECTIONS, Settings

__all__ = ["DEFAULT_PATH", "Loaded", "Settings", "line_of", "load", "load_with_origins", "missing"]

DEFAULT_PATH = "/etc/zkboot/zkboot.toml"


class Loaded(NamedTuple):
    """The settings, and where a key's value comes from: `default`, `--set`, or file and line. `file` is theirs; `keys` are those
    of AWS that stand in it."""

    settings: Settings
    origin: Callable[[str], str]
    file: str
    keys: older_keys.Keys | None


def load(path: str | None = None, overrides: Mapping[str, str] | None = None) -> Settings:
    """The settings of a file, with the keys named in `overrides` (dotted key -> value as text) replaced.

    `path` None is $ZKBOOT_CONFIG, or else /etc/zkboot/zkboot.toml, which alone may be missing.
    Raises SettingsError naming every problem.
    """
    return load_with_origins(path, overrides or {}).settings


def load_with_origins(path: str | None, overrides: Mapping[str, str]) -> Loaded:
    """As `load`, with the origin of each key."""
    path, text = _read(path)
    given = _flatten(_parse(path, text))
    keys_of_aws, wrong_keys = older_keys.take(given, overrides)
    given.update((key, _from_text(key, value)) for key, value in overrides.items() if key not in older_keys.NAMES)
    extra = {key.removeprefix(EXTRA + "."): value for key, value in given.items() if key.startswith(EXTRA + ".")}

    problems = dict(settings_problems.of_keys(given, path)) | dict(settings_problems.of_extra(extra)) | wrong_keys
    settings = _build(given, extra, problems)
    contradictions = {
        frozenset(keys): (next((key for key in keys if key in given), keys[0]), problem)
        for keys, problem in settings_problems.between(settings)
        if not problems.keys() & set(keys)
    }
    found = [*problems.items(), *contradictions.values()]

    def origin(key: str) -> str:
        if key in overrides:
            return "--set"
        if key not in given and key not in older_keys.NAMES:
            return path if found else "default"
        line = line_of(text, key)
        return f"{path}:{line}" if line else path

    if found:
        raise SettingsError(_complaint([f"{origin(key)}: {key}: {problem}" for key, problem in found]))
    return Loaded(_resolve(settings), origin, path, keys_of_aws)


def missing(path: str | None, overrides: Mapping[str, str]) -> tuple[str, ...]:
    """The required keys that neither the file nor the overrides give. Raises SettingsError for a file that cannot be read."""
    given = _flatten(_parse(*_read(path)))
    return tuple(name for name, key in KEYS.items() if key.default is None and name not in given and name not in overrides)


def line_of(text: str, key: str) -> int:
    """The line of a TOML text on which a dotted key (or its table) is set; 0 where it is not found."""
    table, above = "", 0
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if line.startswith("["):
            table = _bare(line.strip("[").partition("]")[0]) + "."
            if table == key + ".":
                return number
        elif "=" in line and not line.startswith("#"):
            name = table + _bare(line.partition("=")[0])
            if name == key:
                return number
            if key.startswith(name + "."):
                above = number
    return above


def _read(path: str | None) -> tuple[str, str]:
    named = path or os.environ.get("ZKBOOT_CONFIG")
    path = named or DEFAULT_PATH
    try:
        with open(path, encoding="utf-8") as file:
            return path, file.read()
    except FileNotFoundError:
        if named:
            raise SettingsError(f"{path}: there is no such settings file; give another with --config or ZKBOOT_CONFIG") from None
        return path, ""
    except OSError as error:
        raise SettingsError(f"{path}: the settings cannot be read: {error.strerror}; zkboot runs as root") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not UTF-8, as TOML must be: byte {error.start} is {error.reason}") from error


def _parse(path: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error


def _flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted key. An unknown section stays one entry; the keys of zookeeper.extra may themselves have dots."""
    flat: dict[str, Any] = {}
    for name, value in table.items():
        key = prefix + name
        if isinstance(value, dict) and (key in SECTIONS or key == EXTRA or key.startswith(EXTRA + ".")):
            flat.update(_flatten(value, key + "."))
        else:
            flat[key] = value
    return flat


def _from_text(key: str, text: str) -> Any:
    """A value given as text: as it is for a string, otherwise read as TOML."""
    if key in KEYS and KEYS[key].type is str:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _build(given: Mapping[str, Any], extra: Mapping[str, Any], problems: Mapping[str, str]) -> Settings:
    """Settings of the values given; one that is wrong or missing gives way to its default."""
    parts: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for name, key in KEYS.items():
        section, _, field = name.rpartition(".")
        value = extra if name == EXTRA else key.default if name in problems else given.get(name, key.default)
        if section:
            parts[section][field] = tuple(value) if isinstance(value, list) else value
    return Settings(given.get("cluster", ""), *(fields(**parts[section]) for section, fields in SECTIONS.items()))


def _resolve(settings: Settings) -> Settings:
    """The settings with what an empty string stands for, where that follows from other settings."""
    node, aws, backup, prefix = settings.node, settings.aws, settings.backup, f"/zkboot/{settings.cluster}/"
    return settings._replace(
        node=node._replace(data_log_dir=node.data_log_dir or node.data_dir),
        aws=aws._replace(secret=aws.secret or prefix + "super", witness=aws.witness or prefix + "cluster-id"),
        backup=backup._replace(prefix=backup.prefix or f"backups/{settings.cluster}/", bucket=backup.bucket or aws.bucket),
    )


def _complaint(problems: list[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    return "\n  ".join([f"the settings have {len(problems)} problems:", *problems])


def _bare(name: str) -> str:
    return name.replace('"', "").replace("'", "").replace(" ", "")
