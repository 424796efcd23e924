"""One S3 client: every request is timed and counted, every answer judged."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from .tally import WITHOUT_RETRIES, Tally
from .truth import CORRUPTED, Key, Truth

_STAMP = "digest"
"""Each object carries the digest of its body as metadata: both must be of the same version."""
_READ_BYTES = 1 << 16


Pause = Callable[[float], object]
"""Waits so many seconds, or less when the run is to end."""


class Failed(Exception):
    """A request had no good answer; it is counted already."""


class SlowBody(io.BytesIO):
    """A body that takes its time to be read, evenly."""

    def __init__(self, body: bytes, seconds: float, pause: Pause) -> None:
        super().__init__(body)
        self._rate, self._pause = len(body) / seconds, pause
        self._began: float | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        part = super().read(size)
        if self._began is None:
            self._began = time.monotonic() - (self.tell() - len(part)) / self._rate
        self._pause(max(self._began + self.tell() / self._rate - time.monotonic(), 0))
        return part

    def seek(self, position: int, whence: int = io.SEEK_SET, /) -> int:
        self._began = None
        return super().seek(position, whence)


class Customer:
    """A client of one kind, with connections of its own."""

    def __init__(self, s3: Any, kind: str, bucket: str, truth: Truth, tally: Tally) -> None:
        self._s3, self.kind, self._bucket, self._truth, self._tally = s3, kind, bucket, truth, tally

    def put(self, key: Key, body: bytes) -> None:
        self._put("put", key, body, lambda: body)

    def slow_put(self, key: Key, body: bytes, seconds: float, pause: Pause) -> None:
        self._put("slow_put", key, body, lambda: SlowBody(body, seconds, pause))

    def get(self, key: Key, operation: str = "get") -> bool:
        return self._get(operation, key, lambda stream: stream.read())

    def slow_get(self, key: Key, size: int, seconds: float, pause: Pause) -> None:
        self._get("slow_get", key, lambda stream: _read_slowly(stream, size / seconds, pause))

    def head(self, key: Key) -> None:
        """The metadata alone, which name the version."""

        def read() -> tuple[Any, str | None]:
            answer = _or_absent(lambda: self._s3.head_object(Bucket=self._bucket, Key=key.name))
            return answer, answer and answer["Metadata"].get(_STAMP, "")

        floor = self._truth.begin_read(key)
        self._judge("head", key, floor, self._ask("head", read))

    def delete(self, key: Key, operation: str = "delete") -> None:
        self._write(operation, key, None, 0, lambda: self._s3.delete_object(Bucket=self._bucket, Key=key.name))

    def copy(self, source: Key, target: Key) -> None:
        """Both keys belong to the caller, and the source exists."""
        wanted, size = source.last.digest, source.last.size
        self._write(
            "copy", target, wanted, size,
            lambda: self._s3.copy_object(
                Bucket=self._bucket, Key=target.name, CopySource={"Bucket": self._bucket, "Key": source.name}
            ),
        )  # fmt: skip

    def upload_in_parts(self, key: Key, body: bytes, part_bytes: int) -> None:
        """A multipart upload: four requests for two parts, one write."""
        where = {"Bucket": self._bucket, "Key": key.name}
        digest = _digest(body)
        upload = self._request(
            "create_upload", lambda: self._s3.create_multipart_upload(**where, Metadata={_STAMP: digest})
        )["UploadId"]
        parts = []
        for number, start in enumerate(range(0, len(body), part_bytes), start=1):
            given = {"UploadId": upload, "PartNumber": number, "Body": body[start : start + part_bytes]}
            answer = self._request("upload_part", partial(self._s3.upload_part, **where, **given))
            self._check_tag("upload_part", key, given["Body"], answer)
            parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        self._write(
            "complete_upload", key, digest, len(body),
            lambda: self._s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts}),
        )  # fmt: skip

    def list(self, prefix: str, keys: Iterable[Key], page: int = 1000, operation: str = "list") -> None:
        """All keys below the prefix, page by page. Nobody writes them meanwhile but the caller."""
        floors = self._truth.begin_listing(keys)
        listed: dict[str, int] = {}
        given: dict[str, Any] = {"Bucket": self._bucket, "Prefix": prefix, "MaxKeys": page}
        while True:
            answer = self._request(operation, lambda: self._s3.list_objects_v2(**given))
            listed |= {entry["Key"]: entry["Size"] for entry in answer.get("Contents", ())}
            if not answer["IsTruncated"]:
                break
            given["ContinuationToken"] = answer["NextContinuationToken"]
        if wrong := self._truth.judge_listing(floors, listed):
            self._tally.wrong("listings_wrong", "; ".join(wrong), len(wrong))

    def _put(self, operation: str, key: Key, body: bytes, stream: Callable[[], Any]) -> None:
        digest = _digest(body)
        answer = self._write(
            operation, key, digest, len(body),
            lambda: self._s3.put_object(
                Bucket=self._bucket, Key=key.name, Body=stream(), Metadata={_STAMP: digest}
            ),
        )  # fmt: skip
        self._check_tag(operation, key, body, answer)

    def _get(self, operation: str, key: Key, read: Callable[[Any], bytes]) -> bool:
        """Whether what was read is as it must be."""

        def ask() -> tuple[Any, str | None]:
            answer = _or_absent(lambda: self._s3.get_object(Bucket=self._bucket, Key=key.name))
            return (answer, _seen(read(answer["Body"]), answer["Metadata"])) if answer else (None, None)

        floor = self._truth.begin_read(key)
        return self._judge(operation, key, floor, self._ask(operation, ask))

    def _judge(self, operation: str, key: Key, floor: int, seen: str | None) -> bool:
        wrong = self._truth.judge(key, floor, seen)
        if wrong:
            self._tally.wrong(wrong, f"{operation} of {key.name} shows {seen or 'nothing'}")
        return wrong is None

    def _check_tag(self, operation: str, key: Key, body: bytes, answer: Any) -> None:
        tag = answer["ETag"].strip('"')
        if tag != hashlib.md5(body, usedforsecurity=False).hexdigest():
            self._tally.wrong(CORRUPTED, f"{operation} of {key.name} was acknowledged with the sum of something else")

    def _write(self, operation: str, key: Key, digest: str | None, size: int, call: Callable[[], Any]) -> Any:
        version = self._truth.begin_write(key, digest, size)
        known = False
        try:
            answer = self._request(operation, call)
            known = True
            return answer
        finally:
            self._truth.end_write(version, known)

    def _request(self, operation: str, call: Callable[[], Any]) -> Any:
        def ask() -> tuple[Any, Any]:
            answer = call()
            return answer, answer

        return self._ask(operation, ask)

    def _ask(self, operation: str, ask: Callable[[], tuple[Any, Any]]) -> Any:
        """Ask for an answer, and what one makes of it when it is complete."""
        ticket, begin = self._tally.begin(self.kind, operation), time.monotonic()
        try:
            answer, result = ask()
        except Exception as error:
            self._tally.failed(ticket, f"{type(error).__name__}: {error}")
            raise Failed from error
        retried = answer["ResponseMetadata"].get("RetryAttempts", 0) if answer else 0
        self._tally.answered(ticket, time.monotonic() - begin, retried)
        return result


def connect(session: boto3.session.Session, given: dict[str, Any], kind: str, fresh: bool = False) -> Any:
    """boto3's client with its default settings, but for retries where the kind has none.

    With `fresh`, each request has a connection of its own.
    """
    settings: dict[str, Any] = {"signature_version": "s3v4", "s3": {"addressing_style": "path"}}
    if kind == WITHOUT_RETRIES:
        settings["retries"] = {"total_max_attempts": 1}
    s3: Any = session.client(
        "s3",
        endpoint_url=given["endpoint_url"],
        region_name=given["region"],
        aws_access_key_id=given["access_key_id"],
        aws_secret_access_key=given["secret_access_key"],
        verify=given["authority"] or None,
        config=Config(**settings),
    )
    if fresh:
        s3.meta.events.register("before-send.s3", _close_after)
    return s3


def _close_after(request: Any, **_: Any) -> None:
    request.headers["Connection"] = "close"


def _or_absent(call: Callable[[], Any]) -> Any:
    """The answer, or None where the service says that there is no such thing."""
    try:
        return call()
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise


def _seen(content: bytes, metadata: dict[str, str]) -> str:
    digest = _digest(content)
    return digest if metadata.get(_STAMP) == digest else f"{digest} with metadata of another version"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _read_slowly(stream: Any, rate: float, pause: Pause) -> bytes:
    parts, read, begin = [], 0, time.monotonic()
    while part := stream.read(_READ_BYTES):
        parts.append(part)
        read += len(part)
        pause(max(begin + read / rate - time.monotonic(), 0))
    return b"".join(parts)
