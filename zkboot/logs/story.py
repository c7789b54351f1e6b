"""`zkboot logs`: what the instances of one ensemble said, merged in the order of time, as it streams in."""

import argparse
import json
import os
import re
import time
from collections.abc import Iterator
from typing import NamedTuple

from zkboot.aws.logs import LogGroup, Told
from zkboot.errors import SettingsError, UsageError
from zkboot.logs.journal import METRICS
from zkboot.say import of_instant
from zkboot.settings import DEFAULT_PATH, load
from zkboot.settings_keys import NAME, Aws, Settings

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
AGAIN = 2.0  # seconds from one look to the next, when following
LATE = 30_000  # milliseconds that an event may take to arrive, and still be told when following


class Asked(NamedTuple):
    """Instants in milliseconds since 1970; "" for any unit or instance."""

    aws: Aws
    group: str
    since: int
    until: int | None
    unit: str
    instance: str
    follow: bool


def of_options(options: argparse.Namespace) -> Asked:
    """Raises UsageError, SettingsError."""
    if options.follow and options.until:
        raise UsageError("--follow has no end: leave out --until")
    now = time.time()
    aws, group = _where(options)
    return Asked(
        aws=aws,
        group=group,
        since=instant_of(options.since, now),
        until=instant_of(options.until, now) if options.until else None,
        unit=(options.unit or "").removesuffix(".service"),
        instance=options.instance or "",
        follow=options.follow,
    )


def instant_of(text: str, now: float) -> int:
    """Milliseconds since 1970. Raises UsageError."""
    if found := re.fullmatch(r"(\d+)([smhd])", text):
        return int((now - int(found[1]) * SECONDS[found[2]]) * 1000)
    try:
        return int(of_instant(text) * 1000)
    except ValueError:
        raise UsageError(f"{text}: write how long ago, such as 90s, 30m, 2h or 3d, or an instant, 2026-11-22T07:16:02Z") from None


def tell(asked: Asked) -> Iterator[Told]:
    """The events, in order. Following, one that arrives later than others is told when it comes."""
    group = LogGroup(asked.aws, asked.group)
    since, seen = asked.since, dict[str, int]()
    while True:
        for told in group.read(since, asked.until, asked.instance):
            if told.id not in seen and _wanted(asked, told):
                yield told
            if asked.follow:
                seen[told.id] = told.time
        if not asked.follow:
            return
        time.sleep(AGAIN)
        since = max([asked.since, *(at - LATE for at in seen.values())])
        seen = {key: at for key, at in seen.items() if at >= since}


def as_text(told: Told) -> str:
    instance, unit = _parts(told)
    return f"{_instant(told.time)} {instance} {unit}: {told.message}"


def as_json(told: Told) -> str:
    instance, unit = _parts(told)
    return json.dumps({"time": _instant(told.time), "instance": instance, "unit": unit, "message": told.message})


def _where(options: argparse.Namespace) -> tuple[Aws, str]:
    """On a node its settings tell; elsewhere the command line and the environment do."""
    if options.cluster:
        if not NAME.fits(options.cluster):
            raise UsageError(f"--cluster {options.cluster}: a cluster's name is {NAME.words}")
        region = options.region or region_of_environment()
        if not region:
            raise UsageError("name the region of the cluster: --region, or AWS_REGION in the environment")
        return Aws(bucket="", region=region), options.log_group or f"/zkboot/{options.cluster}"
    settings = _settings(options)
    group = options.log_group or settings.aws.log_group
    if not group:
        raise UsageError("aws.log_group is not set, so that nothing is shipped from this cluster; --log-group names another one")
    return settings.aws._replace(region=options.region or settings.aws.region), group


def _settings(options: argparse.Namespace) -> Settings:
    there = options.config or os.environ.get("ZKBOOT_CONFIG") or os.path.exists(DEFAULT_PATH) or options.set
    if not there:
        raise SettingsError("this machine has no settings of a cluster: name it, zkboot logs --cluster NAME --region REGION")
    return load(options.config, options.set)


def region_of_environment() -> str:
    """As every AWS tool finds it: AWS_REGION, AWS_DEFAULT_REGION, or the profile's; "" for none."""
    import botocore.session

    return os.environ.get("AWS_REGION") or botocore.session.get_session().get_config_variable("region") or ""


def _wanted(asked: Asked, told: Told) -> bool:
    instance, unit = _parts(told)
    return instance.startswith(asked.instance) and (unit == asked.unit if asked.unit else unit != METRICS)


def _parts(told: Told) -> tuple[str, str]:
    instance, _, unit = told.stream.partition("/")
    return instance, unit


def _instant(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:03}Z"
