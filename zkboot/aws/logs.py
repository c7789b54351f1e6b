"""CloudWatch Logs: events into a group's streams, and out of the group again."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from zkboot.aws.session import asking, clients, code_of
from zkboot.logs.batches import Event
from zkboot.settings_keys import Aws

NO_STREAM = "ResourceNotFoundException"  # of the group too
NO_LIMIT_OF_OURS = "InvalidParameterException"


class Told(NamedTuple):
    """An event of a group: its id, its stream, when (milliseconds since 1970), and what."""

    id: str
    stream: str
    time: int
    message: str


class LogGroup:
    """The group of that name. Every method raises UnknownFact."""

    def __init__(self, aws: Aws, name: str) -> None:
        self._name = name
        self._clients = clients(aws)

    def put(self, stream: str, events: Sequence[Event]) -> int:
        """One batch, within the limits and in the order of time; returns how many of it CloudWatch does not take."""
        with asking("logs:PutLogEvents", f"the log stream {self._name}:{stream}"):
            try:
                return self._put(stream, events)
            except ClientError as error:
                if code_of(error) == NO_STREAM:
                    self._create(stream)
                    return self._put(stream, events)
                if code_of(error) != NO_LIMIT_OF_OURS:
                    raise
        # One event that is refused for a reason of its own must not hold back all that follow.
        if len(events) == 1:
            return 1
        half = len(events) // 2
        return self.put(stream, events[:half]) + self.put(stream, events[half:])

    def read(self, since: int, until: int | None, prefix: str) -> Iterator[Told]:
        """The events of the streams with that prefix, from the instant `since` to `until` (milliseconds since 1970), in the order
        of time, one page in memory."""
        asked: dict[str, Any] = {"logGroupName": self._name, "startTime": since, "interleaved": True}
        if until is not None:
            asked["endTime"] = until
        if prefix:
            asked["logStreamNamePrefix"] = prefix
        while True:
            with asking("logs:FilterLogEvents", f"the log group {self._name}"):
                page = self._logs.filter_log_events(**asked)
                found = [Told(e["eventId"], e["logStreamName"], e["timestamp"], e["message"]) for e in page["events"]]
            yield from found
            if not page.get("nextToken"):
                return
            asked["nextToken"] = page["nextToken"]

    def _put(self, stream: str, events: Sequence[Event]) -> int:
        told = [{"timestamp": event.time, "message": event.message} for event in events]
        answer = self._logs.put_log_events(logGroupName=self._name, logStreamName=stream, logEvents=told)
        return _refused(answer.get("rejectedLogEventsInfo", {}), len(events))

    def _create(self, stream: str) -> None:
        with asking("logs:CreateLogStream", f"the log stream {self._name}:{stream}"):
            try:
                self._logs.create_log_stream(logGroupName=self._name, logStreamName=stream)
            except ClientError as error:
                if code_of(error) != "ResourceAlreadyExistsException":
                    raise

    @property
    def _logs(self) -> Any:
        return self._clients.client("logs")


def _refused(info: dict[str, int], count: int) -> int:
    """How many: those too old or past the retention come before an index, those too new from one on (RejectedLogEventsInfo)."""
    first = max(info.get("tooOldLogEventEndIndex", 0), info.get("expiredLogEventEndIndex", 0))
    return first + count - max(info.get("tooNewLogEventStartIndex", count), first)
