"""The backups of a group, as an administrator of the bucket sees them."""

from tests.lab.group import Group

MANIFEST = ".manifest.json"
VERIFIED = ".verified.json"
ARCHIVE = ".tar.gz"


def prefix(zk: Group) -> str:
    return f"backups/{zk.plan.cluster}/"


def names(zk: Group, ending: str = MANIFEST) -> set[str]:
    """Of those that have an object with that ending."""
    return {
        key.removeprefix(prefix(zk)).removesuffix(ending)
        for key in zk.region.objects(prefix(zk), zk.plan.bucket)
        if key.endswith(ending)
    }


def newest(zk: Group) -> str:
    return max(names(zk))


def unfinished(zk: Group) -> int:
    """Uploads that were begun and neither completed nor aborted."""
    return len(zk.region.client("s3").list_multipart_uploads(Bucket=zk.plan.bucket).get("Uploads", ()))


def spoil(zk: Group, name: str) -> None:
    """A byte in the middle of the archive is another one; its mark still says that it was verified."""
    key = f"{prefix(zk)}{name}{ARCHIVE}"
    body = bytearray(zk.region.objects(key, zk.plan.bucket)[key])
    body[len(body) // 2] ^= 0xFF
    zk.region.client("s3").put_object(Bucket=zk.plan.bucket, Key=key, Body=bytes(body))


def remove(zk: Group, name: str) -> None:
    """With all that is of it."""
    for key in zk.region.objects(f"{prefix(zk)}{name}", zk.plan.bucket):
        zk.region.client("s3").delete_object(Bucket=zk.plan.bucket, Key=key)
