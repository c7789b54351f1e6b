"""The connection to AWS: one client of each service, made when first used, and every way in which a call can fail.

Limits of one call: 2 s to connect, 5 s without a byte of the answer, three attempts with botocore's standard backoff between
them: about 25 s at most. Credentials are the instance role's, by version 2 of the metadata service, unless the environment holds
others.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

import boto3
import botocore.loaders
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    MetadataRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.parsers import ResponseParserError

from zkboot import __version__
from zkboot.aws.imds import Imds
from zkboot.errors import UnknownFact
from zkboot.settings_keys import Aws

CONNECT_TIMEOUT = 2.0  # seconds
READ_TIMEOUT = 5.0  # seconds
ATTEMPTS = 3
METADATA_TIMEOUT = 2  # seconds, for credentials

DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AllAccessDisabled"}
NOT_BELIEVED = {
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "InvalidToken",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
TOO_MANY = {"RequestLimitExceeded", "SlowDown", "TooManyRequestsException", "Throttling", "ThrottlingException"}


WITHOUT_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, MetadataRetrievalError)


class Clients:
    """botocore's clients by service name. With other credentials than the instance role's where `profile` names some, which are
    in the file `credentials`, and with `more` in place of the usual limits of a call."""

    def __init__(self, aws: Aws, profile: str = "", credentials: str = "", more: Config | None = None) -> None:
        self._aws = aws
        self._profile = profile
        self._credentials = credentials
        self._config = _config(aws).merge(more or Config())
        self._made: dict[str, Any] = {}
        self._session: boto3.session.Session | None = None
        self._lock = threading.Lock()  # a session is not safe between threads; a client is

    def client(self, service: str) -> Any:
        """Raises UnknownFact when the region is the metadata service's to tell and it does not answer, NoCredentialsError while
        there are none: a new instance may be asked before its role has come to the metadata service."""
        with self._lock:
            if service not in self._made:
                if self._session is None:
                    self._session = _session(self._aws, self._profile, self._credentials)
                if self._session.get_credentials() is None:  # a client that was made without would never look again
                    raise NoCredentialsError
                self._made[service] = self._session.client(
                    service, endpoint_url=self._aws.endpoint_url or None, config=self._config
                )
            return self._made[service]


@cache
def clients(aws: Aws) -> Clients:
    """The clients of these settings, the same ones for all who ask."""
    return Clients(aws)


@cache
def _loader() -> Any:
    """Of the descriptions of AWS's services, which takes longer than anything else in making a client: each is read once."""
    return botocore.loaders.create_loader()


def _session(aws: Aws, profile: str, credentials: str) -> boto3.session.Session:
    region = aws.region or Imds(aws.metadata_endpoint).region()
    core = botocore.session.get_session()
    core.register_component("data_loader", _loader())
    core.set_config_variable("ec2_metadata_service_endpoint", aws.metadata_endpoint)
    core.set_config_variable("ec2_metadata_v1_disabled", True)
    core.set_config_variable("metadata_service_timeout", METADATA_TIMEOUT)
    core.set_config_variable("metadata_service_num_attempts", ATTEMPTS)
    if credentials:
        core.set_config_variable("credentials_file", credentials)
    return boto3.session.Session(botocore_session=core, region_name=region, profile_name=profile or None)


def _config(aws: Aws) -> Config:
    return Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        user_agent_extra=f"zkboot/{__version__}",
        # An endpoint of one's own rarely has a host name for each bucket.
        s3={"addressing_style": "path" if aws.endpoint_url else "auto"},
    )


@contextmanager
def asking(action: str, subject: str) -> Iterator[None]:
    """Whatever keeps the call within from being answered whole becomes UnknownFact. `action` is the permission it needs.

    Codes that are an answer (not found, precondition failed) are the caller's to catch within.
    """
    try:
        yield
    except ClientError as error:
        raise UnknownFact(f"{action} on {subject}: {_refusal(error)}; {_after_refusal(error, action)}") from error
    except ParamValidationError:
        raise  # a mistake of ours: waiting would not mend it
    except BotoCoreError as error:
        raise UnknownFact(f"{action} on {subject}: {_failure(error)}; {_after_failure(error)}") from error
    except ResponseParserError as error:
        # Its own message shows the whole answer.
        raise UnknownFact(f"{action} on {subject}: the answer is cut short or not AWS's; it is asked again") from error
    except LookupError as error:
        raise UnknownFact(f"{action} on {subject}: the answer has no {error}; it is asked again") from error


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def date_of(answer: Any) -> float:
    """The service's own clock when it answered, seconds since 1970."""
    text = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
    try:
        return parsedate_to_datetime(text).timestamp()
    except ValueError as error:
        raise UnknownFact(f"AWS answered with a date that is none: {text}") from error


def _refusal(error: ClientError) -> str:
    message = error.response.get("Error", {}).get("Message", "")
    return f"{code_of(error) or status_of(error)}" + (f": {message.rstrip('.')}" if message else "")


def _after_refusal(error: ClientError, action: str) -> str:
    code, status = code_of(error), status_of(error)
    if code == "InvalidObjectState":
        return "a rule of the bucket has moved it to an archive: bring it back (aws s3api restore-object), and end that rule"
    if code in DENIED or (status == 403 and code not in NOT_BELIEVED):
        return f"the instance role needs {action} there{HINTS.get(action, '')}"
    if code in NOT_BELIEVED:
        return "AWS does not take the credentials: check the instance role, and the node's clock (chronyc tracking)"
    if code in TOO_MANY or status == 429:
        return "AWS limits the rate of calls; it is asked again"
    if status >= 500:
        return "AWS is at fault; it is asked again"
    if code == "NoSuchBucket":
        return "create the bucket, or correct aws.bucket (of backups: backup.bucket, backup.copy_bucket)"
    if code == "ResourceNotFoundException":
        return "create the log group, or correct its name (aws.log_group; of zkboot logs: --cluster, --region, --log-group)"
    return "AWS cannot carry the call out; it is asked again"


HINTS = {
    "logs:FilterLogEvents": " (elsewhere than on a node: the credentials in use)",
    "s3:GetObject": ", and s3:ListBucket on the bucket, without which S3 refuses even to say that an object is not there",
    "ssm:GetParameter": ", and kms:Decrypt on its key where that is one of your own",
}


def _failure(error: BotoCoreError) -> str:
    """botocore's sentence, and the cause beneath where it keeps that to itself (an address that is not found, say)."""
    cause = error.kwargs.get("error")
    return str(error) if cause is None or str(cause) in str(error) else f"{error} ({cause})"


def _after_failure(error: BotoCoreError) -> str:
    if isinstance(error, ProfileNotFound):
        return "write it into /etc/zkboot/credentials, or correct its name in the settings (elsewhere: AWS_PROFILE)"
    if isinstance(error, WITHOUT_CREDENTIALS):
        return "give the instance a profile with the instance role, and check aws.metadata_endpoint (elsewhere: set AWS_PROFILE)"
    if isinstance(error, (ConnectionError, HTTPClientError)):
        return "check name resolution, routes, security groups and VPC endpoints; it is asked again"
    return "it is asked again"
