"""zoo.cfg: its static part, rendered from the settings. ZooKeeper rewrites the file at every membership change."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from zkboot.zookeeper import configuration, files

if TYPE_CHECKING:
    from zkboot.settings import Settings

DIGEST = "DigestAuthenticationProvider.superDigest"


def super_digest(password: str) -> str:
    """What zoo.cfg holds of the super password (ZooKeeper's DigestAuthenticationProvider.generateDigest)."""
    import base64
    import hashlib

    return "super:" + base64.b64encode(hashlib.sha1(f"super:{password}".encode()).digest()).decode("ascii")


def digest_in_place(conf_dir: str) -> str | None:
    """The super digest of the present zoo.cfg. Raises OSError."""
    text = files.read_text(configuration.zoo_cfg(conf_dir))
    return configuration.properties(text).get(DIGEST) if text is not None else None


def render(settings: "Settings", init_limit: int, digest: str, dynamic_file: str | None) -> str:
    """The whole file. `digest` as `super_digest` makes it; `dynamic_file` the committed configuration's path."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("zkboot", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # a properties file, of values that the settings have checked
    )
    return environment.get_template("zoo.cfg.j2").render(
        z=settings.zookeeper,
        data_dir=settings.node.data_dir,
        data_log_dir=settings.node.data_log_dir,
        init_limit=settings.zookeeper.init_limit or init_limit,
        extra=list(_as_text(settings.zookeeper.extra.items())),
        digest=digest,
        dynamic_file=dynamic_file,
    )


def _as_text(items: Iterable[tuple[str, str | int | bool]]) -> Iterable[tuple[str, str]]:
    for key, value in items:
        yield key, str(value).lower() if isinstance(value, bool) else str(value)
