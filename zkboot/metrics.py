"""What a node measures, for CloudWatch: the names, which the alarms of the stack watch, and the document that carries them.

Format: "Embedded metric format specification" in the CloudWatch User Guide. Units are CloudWatch's. A light turn writes one:
nothing dear is imported here.
"""

from collections.abc import Mapping
from typing import NamedTuple

NAMESPACE = "zkboot"
DIMENSION = "Cluster"
INSTANCE = "Instance"


class Metric(NamedTuple):
    unit: str
    help: str
    each: bool = False  # told of each instance too, not of the ensemble alone


METRICS: Mapping[str, Metric] = {
    "Quorum": Metric("None", "1 when this node sees a leader that serves, else 0"),
    "Voters": Metric("Count", "voters of the configuration, as the leader has it"),
    "Tolerance": Metric("Count", "voters in step, less a majority: how many more may be lost, as the leader has it"),
    "Spares": Metric("Count", "observers in step, ready to take a voter's place, as the leader has it"),
    "Znodes": Metric("Count", "znodes of the tree"),
    "BackupAge": Metric("Seconds", "since the last verified backup; untold when none is known"),
    "Halted": Metric("None", "1 when a person must decide, else 0"),
    "ZxidLag": Metric("Count", "transactions by which this server is behind the leader", each=True),
    "Latency": Metric("Milliseconds", "of a request, on average since the last figure; untold when there was none", each=True),
    "Connections": Metric("Count", "clients connected to this server", each=True),
    "DiskUsed": Metric("Percent", "of the fuller one of data disk and root disk", each=True),
}


def document(
    cluster: str, instance: str, now: float, values: Mapping[str, float], more: Mapping[str, object]
) -> dict[str, object]:
    """One log event. `now` is seconds since 1970; what is unknown is not among the values; `more` is for who reads the event."""
    ensemble = [name for name in values if not METRICS[name].each]
    each = [name for name in values if METRICS[name].each]
    told = ((ensemble, [[DIMENSION]]), (each, [[DIMENSION], [DIMENSION, INSTANCE]]))
    directives = [
        {"Namespace": NAMESPACE, "Dimensions": by, "Metrics": [{"Name": name, "Unit": METRICS[name].unit} for name in names]}
        for names, by in told
        if names
    ]
    head = {"Timestamp": int(now * 1000), "CloudWatchMetrics": directives}
    return {"_aws": head, DIMENSION: cluster, INSTANCE: instance, **more, **values}
