"""Which API calls a request makes, and whether the caller's policies allow them.

moto's own enforcement knows neither resources (all but S3's are `*`) nor conditions, so a least-privilege policy would be
refused whole. This evaluates the identity policies kept in moto's IAM by the rules of the IAM User Guide, "Policy
evaluation logic" (an explicit Deny wins, else an Allow, else denied), for the services that a node uses. An action it
cannot name and a condition it does not know are refused loudly. Access keys and session tokens are checked, signatures are not.
"""

import fnmatch
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

from moto.autoscaling.models import autoscaling_backends
from moto.iam.access_control import CreateAccessKeyFailure, create_access_key
from moto.iam.models import Policy

ACCOUNT = "123456789012"
PARTITION = "aws"
ADMIN_KEY = "AKIALABADMINISTRATOR"  # the region's own administration: everything is allowed
ADMIN_SECRET = "lab"

IAM_PREFIX = {"monitoring": "cloudwatch"}  # signing name -> the prefix of its actions, where they differ


class Call(NamedTuple):
    """One API call as IAM sees it."""

    key: str  # the caller's access key id
    token: str
    region: str
    action: str  # s3:GetObject
    resources: tuple[str, ...]
    context: Mapping[str, str]  # condition keys
    protocol: str  # s3, ec2, query or json: how an error is said


def call_of(environ: Mapping[str, Any], body: bytes) -> Call:
    """Raises ValueError for a request without a signature of version 4."""
    key, _, region, service, _ = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].split(",")[0].split("/")
    query = {name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True).items()}
    if service == "s3":
        action, resources, context = _s3(environ, query)
        protocol = "s3"
    elif target := environ.get("HTTP_X_AMZ_TARGET"):
        action, protocol = target.rpartition(".")[2], "json"
        resources, context = _resources(service, action, region, json.loads(body or b"{}"))
    else:
        form = {name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()} or query
        action, protocol = form.get("Action", "Unknown"), "ec2" if service == "ec2" else "query"
        resources, context = _resources(service, action, region, form)
    name = f"{IAM_PREFIX.get(service, service)}:{action}"
    return Call(key, environ.get("HTTP_X_AMZ_SECURITY_TOKEN", ""), region, name, resources, context, protocol)


def _s3(environ: Mapping[str, Any], query: Mapping[str, str]) -> tuple[str, tuple[str, ...], dict[str, str]]:
    bucket, _, key = unquote(environ["PATH_INFO"]).lstrip("/").partition("/")
    arn = f"arn:{PARTITION}:s3:::{bucket}"
    method = environ["REQUEST_METHOD"]
    if key:
        actions = {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "POST": "PutObject", "DELETE": "DeleteObject"}
        action = actions.get(method, "Unknown")
        if "versionId" in query and method != "PUT":
            action += "Version"
        if method == "DELETE" and "uploadId" in query:
            action = "AbortMultipartUpload"
        if any(
            name in query for name in ("acl", "tagging", "retention", "legal-hold", "attributes", "select", "restore", "torrent")
        ):
            action = "Unknown"
        return action, (f"{arn}/{key}",), {}
    if method in ("GET", "HEAD") and not query.keys() - LIST_PARAMETERS:
        return "ListBucket", (arn,), {"s3:prefix": query["prefix"]} if "prefix" in query else {}
    if method == "GET" and "versions" in query:
        return "ListBucketVersions", (arn,), {"s3:prefix": query["prefix"]} if "prefix" in query else {}
    if method == "GET" and "uploads" in query:
        return "ListBucketMultipartUploads", (arn,), {}  # no condition key of S3's tells the prefix
    return "Unknown", (arn,), {}


LIST_PARAMETERS = {
    "list-type",
    "prefix",
    "delimiter",
    "max-keys",
    "continuation-token",
    "start-after",
    "encoding-type",
    "marker",
    "fetch-owner",
}


def _resources(service: str, action: str, region: str, fields: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[str, str]]:
    here = f"{region}:{ACCOUNT}"
    if service == "ssm":
        names = [fields["Name"]] if "Name" in fields else fields.get("Names", [])
        context = {"ssm:Overwrite": str(fields["Overwrite"]).lower()} if "Overwrite" in fields else {}
        return tuple(f"arn:{PARTITION}:ssm:{here}:parameter/{name.lstrip('/')}" for name in names) or ("*",), context
    if service == "logs" and "logGroupName" in fields:
        stream = fields.get("logStreamName", "")
        return (f"arn:{PARTITION}:logs:{here}:log-group:{fields['logGroupName']}:log-stream:{stream}",), {}
    if service == "monitoring":
        return ("*",), {"cloudwatch:namespace": fields["Namespace"]} if "Namespace" in fields else {}
    if service == "autoscaling" and "AutoScalingGroupName" in fields and not action.startswith("Describe"):
        group = autoscaling_backends[ACCOUNT][region].autoscaling_groups.get(fields["AutoScalingGroupName"])
        return (group.arn if group else f"arn:{PARTITION}:autoscaling:{here}:autoScalingGroup:none",), {}
    return ("*",), {}


class Refused(Exception):
    """The caller may not make this call; the message is AWS's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Caller(NamedTuple):
    """Who calls: the session's name (an instance id for a machine), the ARN, the policies; `admin` may do everything."""

    name: str
    arn: str
    policies: tuple[Any, ...]


ADMIN = Caller(
    "admin", f"arn:{PARTITION}:iam::{ACCOUNT}:user/admin", ('{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}',)
)


def caller_of(call: Call) -> Caller:
    """Raises Refused for credentials that nobody was given."""
    if call.key == ADMIN_KEY:
        return ADMIN
    try:
        key = create_access_key(ACCOUNT, PARTITION, call.key, {"X-Amz-Security-Token": call.token} if call.token else {})
    except CreateAccessKeyFailure:
        raise Refused("InvalidClientTokenId", "The security token included in the request is invalid.") from None
    return Caller(key.arn.rpartition("/")[2], key.arn, tuple(key.collect_policies()))


def authorize(call: Call, caller: Caller) -> None:
    """Raises Refused when the caller's policies do not allow the call."""
    if not allowed(call, caller.policies):
        message = f"User: {caller.arn} is not authorized to perform: {call.action} on resource: {' '.join(call.resources)}"
        raise Refused("AccessDenied", message)


def may_list(call: Call, caller: Caller) -> bool:
    """Whether S3 may tell this caller that an object is not there (404), or must say 403. Such a request has no `s3:prefix`."""
    bucket = call.resources[0].partition("/")[0]
    return allowed(call._replace(action="s3:ListBucket", resources=(bucket,), context={}), caller.policies)


def allowed(call: Call, policies: Iterable[Any]) -> bool:
    statements = [statement for policy in policies for statement in _statements(policy)]
    return all(_verdict(statements, call, resource) for resource in call.resources)


def _statements(policy: Any) -> list[dict[str, Any]]:
    if isinstance(policy, Policy):
        text = next(version.document for version in policy.versions if version.is_default)
    else:
        text = policy if isinstance(policy, str) else policy["policy_document"]
    return list(_as_list(json.loads(text)["Statement"]))


def _verdict(statements: list[dict[str, Any]], call: Call, resource: str) -> bool:
    effects = {statement["Effect"] for statement in statements if _applies(statement, call, resource)}
    return "Allow" in effects and "Deny" not in effects


def _applies(statement: Mapping[str, Any], call: Call, resource: str) -> bool:
    unknown = statement.keys() - {"Sid", "Effect", "Action", "Resource", "Condition"}
    if unknown:
        raise ValueError(f"the lab's IAM does not know {sorted(unknown)} in a policy's statement: add it to tests/lab/iam.py")
    return (
        _matches([action.lower() for action in _as_list(statement["Action"])], call.action.lower())
        and _matches(statement["Resource"], resource)
        and all(_holds(operator, tests, call.context) for operator, tests in statement.get("Condition", {}).items())
    )


def _holds(operator: str, tests: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    base = operator.removesuffix("IfExists")
    if base not in ("StringEquals", "StringLike"):
        raise ValueError(f"the lab's IAM does not know the condition {operator}: add it to tests/lab/iam.py")
    for key, patterns in tests.items():
        if key not in context:
            held = operator != base
        elif base == "StringLike":
            held = _matches(patterns, context[key])
        else:
            held = context[key] in _as_list(patterns)
        if not held:
            return False
    return True


def _matches(patterns: Any, text: str) -> bool:
    return any(fnmatch.fnmatchcase(text, pattern) for pattern in _as_list(patterns))


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
