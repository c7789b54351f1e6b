"""The store: objects in S3 with conditional writes, secrets in the parameter store of SSM.

Conditional writes: "Preventing object overwrites with conditional writes" in the S3 User Guide.
"""

import time
from typing import Any

from botocore.exceptions import ClientError

from zkboot.aws.session import asking, clients, code_of, date_of
from zkboot.errors import Stale
from zkboot.settings import Settings
from zkboot.world import Listed, Stored

# Seconds before each further attempt of a write that met another one (409): S3 asks for it to be sent again.
CONFLICT_PAUSES = (0.05, 0.1, 0.2, 0.4)


class S3Store:
    """The bucket and the parameters that the settings name."""

    def __init__(self, settings: Settings) -> None:
        self._bucket = settings.aws.bucket
        self._clients = clients(settings.aws)

    def get(self, key: str) -> Stored | None:
        with asking("s3:GetObject", self._name(key)):
            try:
                answer = self._s3.get_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if code_of(error) == "NoSuchKey":
                    return None
                raise
            return Stored(answer["Body"].read(), answer["ETag"], answer["LastModified"].timestamp(), date_of(answer))

    def put(self, key: str, body: bytes, match: str | None) -> str:
        condition = {"IfNoneMatch": "*"} if match is None else {"IfMatch": match}
        with asking("s3:PutObject", self._name(key)):
            try:
                return self._put(Bucket=self._bucket, Key=key, Body=body, ContentType="application/json", **condition)
            except ClientError as error:
                # 404 answers If-Match where the object is gone.
                if code_of(error) in ("PreconditionFailed", "NoSuchKey"):
                    raise Stale(f"{self._name(key)} is no longer as it was read, another wrote it; looking again") from error
                raise

    def _put(self, **parameters: Any) -> str:
        for pause in CONFLICT_PAUSES:
            try:
                return str(self._s3.put_object(**parameters)["ETag"])
            except ClientError as error:
                if code_of(error) != "ConditionalRequestConflict":
                    raise
            time.sleep(pause)
        return str(self._s3.put_object(**parameters)["ETag"])

    def list(self, prefix: str) -> tuple[Listed, ...]:
        with asking("s3:ListBucket", self._name(prefix)):
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            return tuple(
                Listed(entry["Key"], entry["ETag"], entry["LastModified"].timestamp())
                for page in pages
                for entry in page.get("Contents", ())
            )

    def secret(self, name: str) -> str | None:
        with asking("ssm:GetParameter", f"the parameter {name}"):
            ssm = self._clients.client("ssm")
            try:
                return str(ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"])
            except ssm.exceptions.ParameterNotFound:
                return None

    def create_secret(self, name: str, value: str) -> bool:
        with asking("ssm:PutParameter", f"the parameter {name}"):
            ssm = self._clients.client("ssm")
            try:
                ssm.put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=False)
            except ssm.exceptions.ParameterAlreadyExists:
                return False
            return True

    @property
    def _s3(self) -> Any:
        return self._clients.client("s3")

    def _name(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"
