"""The backups of a group, as an administrator of the bucket sees them."""

from tests.lab.group import Group
from tests.lab.region import BUCKET

MANIFEST = ".manifest.json"
VERIFIED = ".verified.json"
ARCHIVE = ".tar.gz"


def prefix(zk: Group) -> str:
    return f"backups/{zk.plan.cluster}/"


def names(zk: Group, ending: str = MANIFEST) -> set[str]:
    """Of those that have an object with that ending."""
    return {key.removeprefix(prefix(zk)).removesuffix(ending) for key in zk.region.objects(prefix(zk)) if key.endswith(ending)}


def newest(zk: Group) -> str:
    return max(names(zk))


def unfinished(zk: Group) -> int:
    """Uploads that were begun and neither completed nor aborted."""
    return len(zk.region.client("s3").list_multipart_uploads(Bucket=BUCKET).get("Uploads", ()))


def spoil(zk: Group, name: str) -> None:
    """A byte in the middle of the archive is another one; its mark still says that it was verified."""
    key = f"{prefix(zk)}{name}{ARCHIVE}"
    body = bytearray(zk.region.objects(key)[key])
    body[len(body) // 2] ^= 0xFF
    zk.region.client("s3").put_object(Bucket=BUCKET, Key=key, Body=bytes(body))


def remove(zk: Group, name: str) -> None:
    """With all that is of it."""
    for key in zk.region.objects(f"{prefix(zk)}{name}"):
        zk.region.client("s3").delete_object(Bucket=BUCKET, Key=key)
