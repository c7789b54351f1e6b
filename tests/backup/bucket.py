"""The backups of a group, as an administrator of the bucket sees them."""

from tests.lab.group import Group

MANIFEST = ".manifest.json"


def prefix(zk: Group) -> str:
    return f"backups/{zk.plan.cluster}/"


def names(zk: Group, ending: str = MANIFEST) -> set[str]:
    """Of those that have an object with that ending."""
    return {
        key.removeprefix(prefix(zk)).removesuffix(ending)
        for key in zk.region.objects(prefix(zk), zk.plan.bucket)
        if key.endswith(ending)
    }
