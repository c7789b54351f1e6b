"""What backups need of a store: a protocol, so that it can be S3 or another's."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol


class Listing(NamedTuple):
    """Every object under a prefix by its key, with the time it was written; `date` is the store's clock at the answer. Both are
    seconds since 1970."""

    objects: Mapping[str, float]
    date: float


class Upload(Protocol):
    """One object on its way into the store: it appears whole when it is completed, or not at all."""

    def send(self, data: bytes) -> None:
        """Takes the next bytes, in order; what cannot be sent at once is waited for."""

    def complete(self) -> None: ...

    def abort(self) -> None:
        """Leaves nothing behind. Raises UnknownFact when that is not certain."""


class Store(Protocol):
    """The bucket of backups. Every method may raise `UnknownFact`."""

    def list(self, prefix: str) -> Listing:
        """All pages."""

    def get(self, key: str) -> bytes | None:
        """A small object; None when it is not there."""

    def put(self, key: str, body: bytes) -> None:
        """A small object."""

    def delete(self, key: str) -> None:
        """Of an object that is kept in versions, no version. One that is not there is no error."""

    def read(self, key: str) -> Iterator[bytes]:
        """A large one, in pieces. Raises Damaged when it is not there."""

    def upload(self, key: str, size: int) -> Upload:
        """Begin an upload of at most about `size` bytes."""

    def abort_unfinished(self, prefix: str) -> int:
        """Abort every upload of an archive under the prefix that was begun and neither completed nor aborted, not what others
        send there; how many there were."""
