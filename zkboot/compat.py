"""The former tool's commands, `zk-bootstrap` and `zk-recovery`: entry points over the same loop.

Their flags become zkboot's settings. What they do not say, the cluster and its bucket, comes from the settings file or from the
instance's tags `zkboot:cluster` and `zkboot:bucket` (which the instance metadata must be allowed to show).
"""

import argparse
import os
import sys

from zkboot import cli
from zkboot.__main__ import main
from zkboot.errors import UnknownFact, UsageError
from zkboot.settings import load, missing

TAGS = {"cluster": "zkboot:cluster", "aws.bucket": "zkboot:bucket"}


def zk_bootstrap(argv: list[str] | None = None) -> int:
    """`zk-bootstrap --region R --id-file F --dynamic-file F --conf-dir D --data-dir D --log-group G`: as `zkboot bootstrap`."""
    given = sys.argv[1:] if argv is None else argv

    def bootstrap() -> int:
        options, rest = _bootstrap_parser().parse_known_args(given)
        overrides = _overrides(options, ("region", "aws.region"), ("log_group", "aws.log_group"))
        overrides |= _overrides(options, ("conf_dir", "node.conf_dir"), ("data_dir", "node.data_dir"))
        overrides = _with_tags(options.config, overrides)
        _check_files(options, overrides)
        return main(["bootstrap", *_as_flags(options.config, overrides), *rest])

    return cli.guarded(bootstrap, given)


def zk_recovery(argv: list[str] | None = None) -> int:
    """`REGION=R zk-recovery`: as `zkboot recover`."""
    given = sys.argv[1:] if argv is None else argv

    def recover() -> int:
        options, rest = _recovery_parser().parse_known_args(given)
        region = os.environ.get("REGION")
        overrides = _with_tags(options.config, {"aws.region": region} if region else {})
        return main(["recover", *_as_flags(options.config, overrides), *rest])

    return cli.guarded(recover, given)


def _bootstrap_parser() -> argparse.ArgumentParser:
    parser = cli.Parser(
        prog="zk-bootstrap",
        description="As `zkboot bootstrap`, under the former tool's name and flags.",
        epilog="Cluster and bucket come from the settings file or the instance's tags zkboot:cluster and zkboot:bucket.\n\n"
        "example:\n  zk-bootstrap --region eu-west-1 --id-file /var/lib/zookeeper/data/myid\n\n"
        f"Further options are those of `zkboot bootstrap`.\n\n{cli.EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--region", help="aws.region")
    parser.add_argument("--id-file", metavar="FILE", help="myid in the data folder; another place is not supported")
    parser.add_argument(
        "--dynamic-file", metavar="FILE", help="zoo.cfg.dynamic in the configuration folder; another place is not supported"
    )
    parser.add_argument("--conf-dir", metavar="DIR", help="node.conf_dir")
    parser.add_argument("--data-dir", metavar="DIR", help="node.data_dir")
    parser.add_argument(
        "--log-group", metavar="NAME", help="aws.log_group; server ids are claimed in the bucket, no longer there"
    )
    parser.add_argument("--config", metavar="FILE", help="the settings")
    return parser


def _recovery_parser() -> argparse.ArgumentParser:
    parser = cli.Parser(
        prog="zk-recovery",
        description="As `zkboot recover`, under the former tool's name; REGION in the environment sets the region.",
        epilog=f"example:\n  REGION=eu-west-1 zk-recovery\n\nFurther options are those of `zkboot recover`.\n\n{cli.EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help="the settings")
    return parser


def _overrides(options: argparse.Namespace, *pairs: tuple[str, str]) -> dict[str, str]:
    return {key: getattr(options, flag) for flag, key in pairs if getattr(options, flag) is not None}


def _with_tags(config: str | None, overrides: dict[str, str]) -> dict[str, str]:
    """The overrides with what neither they nor the settings file give, read from the instance's tags."""
    lacking = missing(config, overrides)
    if not lacking:
        return overrides
    endpoint = load(config, overrides | dict.fromkeys(lacking, "unknown")).aws.metadata_endpoint
    return overrides | {key: _tag(endpoint, key) for key in lacking}


def _tag(endpoint: str, key: str) -> str:
    """A setting from the instance's own tag. Raises UsageError where there is none, UnknownFact without an answer."""
    from zkboot.aws.imds import Imds

    advice = (
        f"{key} is not known, for the former flags do not say it: write it into the settings file, or give the instance the tag "
        f"{TAGS[key]} and allow tags in its metadata, or call zkboot with --set {key}=..."
    )
    try:
        value = Imds(endpoint).tag(TAGS[key])
    except UnknownFact as error:
        raise UnknownFact(f"{advice} ({error})") from error
    if value is None:
        raise UsageError(advice)
    return value


def _check_files(options: argparse.Namespace, overrides: dict[str, str]) -> None:
    """The two files that the former tool was told of by name now follow from their folders: any other place is refused."""
    node = load(options.config, overrides).node
    for flag, given, expected, setting in (
        ("--id-file", options.id_file, f"{node.data_dir}/myid", "--data-dir"),
        ("--dynamic-file", options.dynamic_file, f"{node.conf_dir}/zoo.cfg.dynamic", "--conf-dir"),
    ):
        if given is not None and os.path.normpath(given) != expected:
            raise UsageError(f"{flag} {given}: only {expected} is supported; give the folder with {setting}, or leave {flag} out")


def _as_flags(config: str | None, overrides: dict[str, str]) -> list[str]:
    flags = [] if config is None else ["--config", config]
    for key, value in overrides.items():
        flags += ["--set", f"{key}={value}"]
    return flags
