"""The names of what a node measures, for CloudWatch: the alarms of the stack watch them.

Format: "Embedded metric format specification" in the CloudWatch User Guide. Units are CloudWatch's.
"""

from collections.abc import Mapping
from typing import NamedTuple

NAMESPACE = "zkboot"
DIMENSION = "Cluster"


class Metric(NamedTuple):
    unit: str
    help: str


METRICS: Mapping[str, Metric] = {
    "Quorum": Metric("None", "1 when this node sees a leader that serves, else 0"),
    "Voters": Metric("Count", "voters of the configuration"),
    "Tolerance": Metric("Count", "voters serving, less a majority: how many more may be lost"),
    "Spares": Metric("Count", "observers that are synced, ready to take a voter's place"),
    "ZxidLag": Metric("Count", "transactions by which this server is behind the leader"),
    "Latency": Metric("Milliseconds", "the server's average latency since the last figure"),
    "Connections": Metric("Count", "clients connected to this server"),
    "Znodes": Metric("Count", "znodes of the tree"),
    "DiskUsed": Metric("Percent", "of the fuller one of data disk and root disk"),
    "BackupAge": Metric("Seconds", "since the last verified backup"),
    "Halted": Metric("None", "1 when a person must decide, else 0"),
}
