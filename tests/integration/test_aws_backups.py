"""The bucket of backups on the lab's S3: large objects as streams, whole or not at all."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.aws import BUCKET, Node, in_pages_of, node
from tests.lab import faults
from tests.lab.iam import ADMIN_KEY, ADMIN_SECRET, Call
from zkboot.aws.backups import PART, S3Backups
from zkboot.errors import Damaged, Stale, UnknownFact
from zkboot.settings_keys import Backup

PREFIX = "backups/zk/"
KEY = f"{PREFIX}20261122T104700Z.tar.gz"


@pytest.fixture(scope="module")
def found() -> Iterator[Node]:
    with node() as one:
        yield one


def backups(found: Node, **more: Any) -> S3Backups:
    return S3Backups(found.settings._replace(backup=Backup(prefix=PREFIX, bucket=BUCKET, **more)))


def unfinished(found: Node) -> int:
    return len(found.region.client("s3").list_multipart_uploads(Bucket=BUCKET).get("Uploads", ()))


def test_several_parts_arrive_as_they_were_sent(found: Node) -> None:
    store, body = backups(found), os.urandom(PART * 2 + 12_345)
    parts: list[int] = []
    store._s3.meta.events.register("provide-client-params.s3.UploadPart", lambda params, **_: parts.append(len(params["Body"])))
    upload = store.upload(KEY, len(body))
    for at in range(0, len(body), 1_000_003):
        upload.send(body[at : at + 1_000_003])
    assert KEY not in store.list(PREFIX).objects
    upload.complete()
    assert b"".join(store.read(KEY)) == body
    assert parts == [PART, PART, 12_345], "there are servers that want all parts but the last to be of one size"


def test_the_parts_of_any_size_are_few_enough_and_none_is_too_small(found: Node) -> None:
    store = backups(found)
    for size in (0, 9000 * PART, 9000 * PART + 1, 100 << 30, 5 << 40):
        upload = store.upload(KEY, size)
        assert upload._part >= 5 << 20 and -(-size // upload._part) <= 9000
        upload.abort()


def test_nothing_at_all_is_an_object_too(found: Node) -> None:
    store = backups(found)
    store.upload(KEY, 0).complete()
    assert b"".join(store.read(KEY)) == b""


def test_what_is_not_there(found: Node) -> None:
    store = backups(found)
    assert store.get(f"{PREFIX}none") is None
    with pytest.raises(Damaged, match=f"s3://{BUCKET}/{PREFIX}none has a manifest, and is not there"):
        b"".join(store.read(f"{PREFIX}none"))


def no_such_upload(fault: faults.Fault, call: Call, carry_out: Any) -> faults.Answer:
    """What S3 says of an upload that was aborted; moto breaks off instead."""
    return faults.error_answer(call, "NoSuchUpload", "The specified upload does not exist.")


def test_an_upload_that_another_has_aborted(found: Node) -> None:
    store = backups(found)
    upload = store.upload(KEY, 1)
    assert store.abort_unfinished(PREFIX) == 1 and unfinished(found) == 0
    with found.fault(no_such_upload, "s3:PutObject"), pytest.raises(Stale, match="was aborted by another node"):
        upload.send(bytes(PART))
        upload.complete()
    upload.abort()  # once more is no error


def test_every_page_of_uploads_and_objects_is_read(found: Node) -> None:
    store = backups(found)
    in_pages_of(store._s3, "ListMultipartUploads", "MaxUploads", 1)
    in_pages_of(store._s3, "ListObjectsV2", "MaxKeys", 1)
    names = [f"{PREFIX}20261122T10470{number}Z" for number in range(3)]
    for name in names:
        store.upload(f"{name}.tar.gz", 1)
        store.put(f"{name}.json", b"{}")
    assert {f"{name}.json" for name in names} <= store.list(PREFIX).objects.keys()
    assert store.abort_unfinished(PREFIX) == 3 and unfinished(found) == 0


def test_uploads_of_others_under_the_prefix_go_on(found: Node) -> None:
    """Another cluster's, whose prefix begins with this one, and what a person or another tool sends."""
    store = backups(found)
    keys = (f"{PREFIX}other/20261122T104700Z.tar.gz", f"{PREFIX}video.mp4", f"{PREFIX}20261122T104700Z.manifest.json")
    others = [store.upload(key, 1) for key in keys]
    store.upload(KEY, 1)
    assert store.abort_unfinished(PREFIX) == 1 and unfinished(found) == len(others)
    for upload in others:
        upload.abort()


def test_a_part_that_fails_is_told(found: Node) -> None:
    upload = backups(found).upload(KEY, 1)
    with found.fault(faults.deny, "s3:PutObject"), pytest.raises(UnknownFact, match=f"s3:PutObject on s3://{BUCKET}/{KEY}"):
        upload.send(bytes(PART))
        upload.complete()
    upload.abort()
    assert unfinished(found) == 0


def test_a_part_is_sent_again_when_the_service_fails_for_a_moment(found: Node) -> None:
    store = backups(found)
    upload = store.upload(KEY, 1)
    with found.fault(faults.unavailable, "s3:PutObject", times=1):
        upload.send(bytes(PART))
        upload.complete()
    assert b"".join(store.read(KEY)) == bytes(PART)


def test_encryption_is_asked_for(found: Node) -> None:
    store = backups(found, sse="aws:kms", kms_key="alias/backups")
    store.upload(KEY, 1).complete()
    store.put(f"{PREFIX}mark", b"{}")
    for key in (KEY, f"{PREFIX}mark"):
        head = found.region.client("s3").head_object(Bucket=BUCKET, Key=key)
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/backups")


def test_a_profile_and_an_endpoint_for_backups_alone(found: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text(f"[vault]\naws_access_key_id = {ADMIN_KEY}\naws_secret_access_key = {ADMIN_SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    before = found.calls("s3:PutObject")
    store = backups(found, profile="vault", endpoint=found.settings.aws.endpoint_url)
    store.upload("elsewhere/x", 1).complete()  # which the instance role may not
    assert b"".join(store.read("elsewhere/x")) == b"" and found.calls("s3:PutObject") == before
    with pytest.raises(UnknownFact, match="profile \\(none\\) could not be found; write it into /etc/zkboot/cred"):
        backups(found, profile="none").list(PREFIX)


LOCKED = "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters"


def of_an_older_server(fault: faults.Fault, call: Call, carry_out: Any) -> faults.Answer:
    return faults.error_answer(call, "NotImplemented", "A header you provided implies functionality that is not implemented")


def of_a_locked_bucket(fault: faults.Fault, call: Call, carry_out: Any) -> faults.Answer:
    return faults.error_answer(call, "InvalidRequest", LOCKED)


def sends_content(environ: faults.Environ) -> bool:
    return environ["REQUEST_METHOD"] == "PUT" and not environ.get("HTTP_X_AMZ_COPY_SOURCE")


def test_another_server_is_sent_the_oldest_checksum_which_a_locked_bucket_takes_too(found: Node) -> None:
    store = backups(found, endpoint=found.settings.aws.endpoint_url)
    with (
        found.fault(of_an_older_server, "s3:*") as newer,
        found.fault(of_a_locked_bucket, "s3:PutObject") as bare,
    ):
        newer.only = lambda environ: "CHECKSUM" in " ".join(environ) or "aws-chunked" in environ.get("HTTP_CONTENT_ENCODING", "")
        bare.only = lambda environ: sends_content(environ) and "HTTP_CONTENT_MD5" not in environ
        body = os.urandom(PART + 1)
        upload = store.upload(KEY, len(body))
        upload.send(body)
        upload.complete()
        store.put(f"{PREFIX}mark", b"{}")
        assert b"".join(store.read(KEY)) == body and store.get(f"{PREFIX}mark") == b"{}"
        assert store.list(PREFIX).objects and not store.abort_unfinished(PREFIX)
        store.delete(KEY)


def in_an_archive_class(fault: faults.Fault, call: Call, carry_out: Any) -> faults.Answer:
    return faults.error_answer(call, "InvalidObjectState", "The operation is not valid for the object's storage class")


def test_an_archive_that_a_rule_has_moved_to_glacier_is_no_lack_of_permission(found: Node) -> None:
    store = backups(found)
    store.put(KEY, b"")
    with (
        found.fault(in_an_archive_class, "s3:GetObject"),
        pytest.raises(UnknownFact, match="aws s3api restore-object"),
    ):
        b"".join(store.read(KEY))
