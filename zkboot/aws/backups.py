"""The bucket of backups: large objects in and out as streams (`zkboot.backup.store`), by S3's multipart upload.

"Multipart upload overview" in the S3 User Guide: parts of 5 MiB or more, at most 10,000; parts of an upload that is neither
completed nor aborted stay, and are paid for. Other servers than Amazon's may want all parts but the last to be of one size.
"""

import base64
import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

from zkboot import older_keys
from zkboot.aws.session import Clients, asking, code_of, date_of
from zkboot.backup.manifest import is_archive
from zkboot.backup.store import Listing
from zkboot.errors import Damaged, Stale
from zkboot.settings_keys import Settings
from zkboot.steps import step

CREDENTIALS_FILE = "/etc/zkboot/credentials"  # of the profiles that settings name: the units do not see root's home
MIB = 1 << 20
PART = 8 * MIB
MOST_PARTS = 9000  # of the 10,000, should the archive be larger than was thought
OF_A_PART = ("ETag", "ChecksumCRC32")  # in the answer to one, asked for again when the upload is completed
# A part takes longer than a question.
LIMITS = {"connect_timeout": 10.0, "read_timeout": 60.0, "retries": {"mode": "standard", "total_max_attempts": 5}}


class S3Backups:
    """The bucket that the settings name for backups."""

    def __init__(self, settings: Settings) -> None:
        backup = settings.backup
        self._bucket = backup.bucket or settings.aws.bucket
        self._aws = settings.aws._replace(endpoint_url=backup.endpoint or settings.aws.endpoint_url)
        self._profile = backup.profile
        self._credentials = credentials_of(backup.profile, settings.node.state_dir)
        # Other servers than Amazon's rarely know the checksums that S3 has learned of late: they get Content-MD5. Amazon's wants
        # the one of the upload with each part, and again in the end. A bucket with Object Lock takes nothing without either.
        self._md5 = bool(backup.endpoint)
        asked = "when_required" if backup.endpoint else "when_supported"
        self._checksum = {} if backup.endpoint else {"ChecksumAlgorithm": "CRC32"}
        self._limits = Config(request_checksum_calculation=asked, response_checksum_validation=asked, **LIMITS)
        self._encryption: dict[str, str] = {"ServerSideEncryption": backup.sse} if backup.sse else {}
        if backup.kms_key:
            self._encryption["SSEKMSKeyId"] = backup.kms_key

    @classmethod
    def of_copies(cls, settings: Settings) -> "S3Backups | None":
        """The second bucket, where the settings name one."""
        return cls(of_second_bucket(settings)) if settings.backup.copy_bucket else None

    def list(self, prefix: str) -> Listing:
        with asking("s3:ListBucket", self._name(prefix)):
            pages = list(self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix))
            objects = {entry["Key"]: entry["LastModified"].timestamp() for page in pages for entry in page.get("Contents", ())}
            return Listing(objects, date_of(pages[-1]))

    def get(self, key: str) -> bytes | None:
        with asking("s3:GetObject", self._name(key)):
            try:
                return bytes(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())
            except ClientError as error:
                if code_of(error) == "NoSuchKey":
                    return None
                raise

    def put(self, key: str, body: bytes) -> None:
        with asking("s3:PutObject", self._name(key)):
            more = {**self._encryption, **(md5_of(body) if self._md5 else {})}
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType="application/json", **more)

    def delete(self, key: str) -> None:
        with asking("s3:DeleteObject", self._name(key)):
            self._s3.delete_object(Bucket=self._bucket, Key=key)

    def read(self, key: str) -> Iterator[bytes]:
        with asking("s3:GetObject", self._name(key)):
            try:
                body = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"]
            except ClientError as error:
                if code_of(error) == "NoSuchKey":
                    raise Damaged(f"{self._name(key)} has a manifest, and is not there") from error
                raise
            yield from body.iter_chunks(MIB)

    def upload(self, key: str, size: int) -> "S3Upload":
        with asking("s3:PutObject", self._name(key)), step("begin upload"):
            answer = self._s3.create_multipart_upload(
                Bucket=self._bucket, Key=key, ContentType="application/gzip", **self._encryption, **self._checksum
            )
        part = max(PART, -(-size // MOST_PARTS // MIB) * MIB)
        target = {"Bucket": self._bucket, "Key": key, "UploadId": answer["UploadId"]}
        return S3Upload(self._s3, target, part, md5_of if self._md5 else lambda body: self._checksum)

    def abort_unfinished(self, prefix: str) -> int:
        with asking("s3:ListBucketMultipartUploads", self._name(prefix)):
            pages = self._s3.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=prefix)
            uploads = [(upload["Key"], upload["UploadId"]) for page in pages for upload in page.get("Uploads", ())]
        found = [(key, upload_id) for key, upload_id in uploads if is_archive(key.removeprefix(prefix))]
        for key, upload_id in found:
            S3Upload(self._s3, {"Bucket": self._bucket, "Key": key, "UploadId": upload_id}, PART, md5_of).abort()
        return len(found)

    @cached_property
    def _clients(self) -> Clients:
        return Clients(self._aws, self._profile, self._credentials, self._limits)

    @property
    def _s3(self) -> Any:
        return self._clients.client("s3")

    def _name(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"


def md5_of(body: bytes) -> dict[str, str]:
    return {"ContentMD5": base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()}


def of_second_bucket(settings: Settings) -> Settings:
    """The settings with the second bucket in the first one's place."""
    backup, aws = settings.backup, settings.aws
    there = backup._replace(
        bucket=backup.copy_bucket,
        endpoint=backup.copy_endpoint,
        profile=backup.copy_profile,
        kms_key=backup.copy_kms_key,
    )
    return settings._replace(aws=aws._replace(region=backup.copy_region or aws.region), backup=there)


def credentials_of(profile: str, state_dir: str) -> str:
    """The file that a profile of the settings is in; "" leaves it to the environment."""
    if profile == older_keys.PROFILE:
        return older_keys.path(state_dir)
    return CREDENTIALS_FILE if profile and "AWS_SHARED_CREDENTIALS_FILE" not in os.environ else ""


class S3Upload:
    """A multipart upload: one part is sent by a thread while the next one is filled, so that two are in memory at most."""

    def __init__(self, s3: Any, target: dict[str, str], part: int, checksum: Callable[[bytes], dict[str, str]]) -> None:
        self._s3 = s3
        self._target = target
        self._part = part
        self._checksum = checksum
        self._name = f"s3://{target['Bucket']}/{target['Key']}"
        self._filled = bytearray()
        self._sent: list[dict[str, Any]] = []
        self._sender = ThreadPoolExecutor(1)
        self._sending: Future[None] | None = None

    def send(self, data: bytes) -> None:
        self._filled += data
        while len(self._filled) >= self._part:
            self._send_part()

    def complete(self) -> None:
        self._wait()
        if self._filled or not self._sent:
            self._send_part()
        self._wait()
        with asking("s3:PutObject", self._name), step("complete upload"):
            try:
                self._s3.complete_multipart_upload(**self._target, MultipartUpload={"Parts": self._sent})
            except ClientError as error:
                self._expect_there(error)
                raise
        self._sender.shutdown()

    def abort(self) -> None:
        self._sender.shutdown(cancel_futures=True)
        with asking("s3:AbortMultipartUpload", self._name), step("abort upload"):
            try:
                self._s3.abort_multipart_upload(**self._target)
            except ClientError as error:
                if code_of(error) != "NoSuchUpload":
                    raise

    def _send_part(self) -> None:
        self._wait()
        body = bytes(self._filled[: self._part])
        del self._filled[: self._part]
        self._sending = self._sender.submit(self._put_part, body)

    def _put_part(self, body: bytes) -> None:
        number = len(self._sent) + 1
        with asking("s3:PutObject", self._name), step("upload part"):
            try:
                answer = self._s3.upload_part(**self._target, PartNumber=number, Body=body, **self._checksum(body))
            except ClientError as error:
                self._expect_there(error)
                raise
            self._sent.append({"PartNumber": number, **{name: answer[name] for name in OF_A_PART if name in answer}})

    def _wait(self) -> None:
        if self._sending is not None:
            self._sending.result()
            self._sending = None

    def _expect_there(self, error: ClientError) -> None:
        """Another node that took the lease over aborts this upload."""
        if code_of(error) == "NoSuchUpload":
            raise Stale(f"the upload of {self._name} was aborted by another node, as this one was silent too long") from error
