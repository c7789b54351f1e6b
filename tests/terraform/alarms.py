"""The stack's alarms as they are written, and what CloudWatch makes of a log event and of an alarm.

"Embedded metric format specification", and "Using Amazon CloudWatch alarms" with its part on missing data, in the User Guide.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tests.terraform.module import blocks, local_values, resources

Document = Mapping[str, Any]

COMPARISONS = {"LessThanThreshold": float.__lt__, "GreaterThanThreshold": float.__gt__}
STATISTICS = {"Maximum": max, "Minimum": min}
ONE = re.compile(
    r'(?P<name>[\w-]+) = \{metric = "(?P<metric>\w+)", statistic = "(?P<statistic>\w+)", comparison = "(?P<comparison>\w+)", '
    r"threshold = (?P<threshold>[\w.]+), minutes = (?P<minutes>\d+)"
)
RESOURCE = {
    "namespace": "${local.namespace}",
    "metric_name": "${each.value.metric}",
    "statistic": "${each.value.statistic}",
    "comparison_operator": "${each.value.comparison}",
    "threshold": "${each.value.threshold}",
    "evaluation_periods": "${each.value.minutes}",
    "dimensions": {"Cluster": "${var.cluster}"},
    "period": 60,
    "treat_missing_data": "breaching",
}


class Alarm(NamedTuple):
    """Over the whole cluster, in periods of a minute of which each must breach; a minute without a value does."""

    name: str
    metric: str
    statistic: str
    comparison: str
    threshold: float
    minutes: int

    def rings(self, cluster: str, minutes: Sequence[Iterable[Document]]) -> bool:
        """After these minutes, each with the events that fell into it; the last one is now."""
        assert len(minutes) >= self.minutes
        return all(self._breaches(cluster, minute) for minute in minutes[-self.minutes :])

    def _breaches(self, cluster: str, minute: Iterable[Document]) -> bool:
        found = [value for document in minute for value in values(document, cluster, self.metric)]
        return not found or COMPARISONS[self.comparison](float(STATISTICS[self.statistic](found)), self.threshold)


class BootFailed(NamedTuple):
    """Of the group's own figures, each minute: how many instances are desired, and how many in service."""

    minutes: int

    def rings(self, figures: Sequence[tuple[int, int] | None]) -> bool:
        assert len(figures) >= self.minutes
        return all(figure is None or figure[0] - figure[1] > 0 for figure in figures[-self.minutes :])


def boot_failed(timeout: float) -> BootFailed:
    """With a boot that may take `timeout` seconds."""
    resource = resources()["aws_cloudwatch_metric_alarm.boot_failed"]
    (query,) = resource["metric_query"]
    names = str(resource["dynamic"])
    written = (query["expression"], resource["comparison_operator"], resource["threshold"], resource["treat_missing_data"])
    assert written == ("desired - serving", "GreaterThanThreshold", 0, "breaching"), "the alarm has changed its form"
    assert "GroupDesiredCapacity" in names and "GroupInServiceInstances" in names
    assert resource["evaluation_periods"] == "${ceil(local.bootstrap_timeout / 60)}"
    return BootFailed(math.ceil(timeout / 60))


def alarms() -> dict[str, Alarm]:
    """By name, with the defaults of the variables."""
    resource = resources()["aws_cloudwatch_metric_alarm.ensemble"]
    assert {key: resource[key] for key in RESOURCE} == RESOURCE, "the alarms have changed their form"
    text = local_values()["alarms"]
    found = [
        Alarm(**match.groupdict() | {"threshold": threshold(match), "minutes": int(match["minutes"])})
        for match in ONE.finditer(text)
    ]
    assert len(found) == text.count("metric = ")
    return {alarm.name: alarm for alarm in found}


def threshold(match: re.Match[str]) -> float:
    words = match["threshold"]
    if not words.startswith("var.alarms."):
        return float(words)
    (default,) = re.findall(
        rf"{words.removeprefix('var.alarms.')}\W+optional\(number, (\d+)\)", dict(blocks("variable"))["alarms"]["type"]
    )
    return float(default)


def values(document: Document, cluster: str, metric: str) -> Iterator[float]:
    """What CloudWatch reads out of an event for the dimension Cluster alone."""
    for directive in document["_aws"]["CloudWatchMetrics"]:
        named = metric in [told["Name"] for told in directive["Metrics"]]
        if (
            named
            and directive["Namespace"] == "zkboot"
            and ["Cluster"] in directive["Dimensions"]
            and document["Cluster"] == cluster
        ):
            yield document[metric]
