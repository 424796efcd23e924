"""From the customer's host: the endpoint serves S3 to whoever holds the key, and nothing else of it answers.

Reads JSON from standard input, prints one JSON object: `ok` and what was seen, never a key.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import ssl
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from freehold.services.object_storage.probes.scan import ALL_PORTS, PacketsLost, open_ports

_PREFIX = "freehold-probe-"
_ABANDONED_S = 900
_PART_BYTES = 5 << 20


class Untrue(Exception):
    """An observation is not as it must be."""


def main() -> None:
    given = json.load(sys.stdin)
    seen: dict[str, Any] = {"endpoint": given["endpoint_url"]}
    steps: dict[str, float] = {}
    started, doing = time.monotonic(), ""
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as authority:
        authority.write(given["ca_certificate"])
        authority.flush()
        probe = Probe(given, authority.name, seen)
        try:
            for doing, step in probe.steps():
                begin = time.monotonic()
                step()
                steps[doing] = round(time.monotonic() - begin, 3)
            answer: dict[str, Any] = {"ok": True}
        except Exception as error:
            answer = {"ok": False, "error": f"{doing}: {type(error).__name__}: {error}"[:500]}
        finally:
            probe.clean_up()
    print(json.dumps({**answer, **seen, "steps": steps, "seconds": round(time.monotonic() - started, 1)}))


class Probe:
    """One round trip through the core of S3, in a bucket of its own."""

    def __init__(self, given: dict[str, Any], authority: str, seen: dict[str, Any]) -> None:
        self.given, self.authority, self.seen = given, authority, seen
        self.s3 = self.client(given["secret_access_key"])
        self.bucket = f"{_PREFIX}{int(time.time())}-{uuid.uuid4().hex[:8]}"
        self.body = os.urandom(100_000)

    def steps(self) -> list[tuple[str, Callable[[], None]]]:
        return [
            ("check of TLS", self.tls),
            ("wrong key refused", self.wrong_key),
            ("unsigned request refused", self.unsigned),
            ("create bucket", self.create),
            ("put", self.put),
            ("get", self.get),
            ("get of a range", self.get_range),
            ("list", self.list_all),
            ("copy", self.copy),
            ("multipart upload", self.multipart),
            ("delete", self.delete),
            ("delete bucket", self.delete_bucket),
            ("only the endpoint's port answers", self.ports),
        ]

    def client(self, secret: str) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.given["endpoint_url"],
            region_name=self.given["region"],
            aws_access_key_id=self.given["access_key_id"],
            aws_secret_access_key=secret,
            verify=self.authority,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                connect_timeout=5,
                read_timeout=30,
                retries={"total_max_attempts": 3, "mode": "standard"},
            ),
        )

    def tls(self) -> None:
        """The certificate is by our authority for this address, and by nobody that the host trusts anyway."""
        right = ssl.create_default_context(cafile=self.authority)
        with self.connect() as raw, right.wrap_socket(raw, server_hostname=self.given["address"]) as tls:
            self.seen["tls"] = f"{tls.version()} {(tls.cipher() or ('?',))[0]}"
        try:
            with (
                self.connect() as raw,
                ssl.create_default_context().wrap_socket(raw, server_hostname=self.given["address"]),
            ):
                raise Untrue("a client that does not know the authority was not warned")
        except ssl.SSLCertVerificationError:
            self.seen["foreign_authority_refused"] = True

    def connect(self) -> socket.socket:
        return socket.create_connection((self.given["address"], self.given["port"]), timeout=5)

    def wrong_key(self) -> None:
        try:
            self.client("not-the-secret-of-anybody").list_buckets()
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            self.seen["wrong_key"] = status
            if status == 403:
                return
        raise Untrue("a wrong secret access key was not refused with 403")

    def unsigned(self) -> None:
        """Behind the endpoint is more than S3; nobody without a signature gets there."""
        context = ssl.create_default_context(cafile=self.authority)
        for path in ("/", "/info", "/auth/v1.0", "/v1/AUTH_x"):
            with self.connect() as raw, context.wrap_socket(raw, server_hostname=self.given["address"]) as tls:
                request = f"GET {path} HTTP/1.1\r\nHost: {self.given['address']}\r\nConnection: close\r\n\r\n"
                tls.sendall(request.encode())
                status = tls.recv(64).split(b" ")[1:2]
            if status != [b"403"]:
                raise Untrue(f"{path} without a signature was answered with {status}")
        self.seen["unsigned"] = 403

    def create(self) -> None:
        self.remove_abandoned()
        self.s3.create_bucket(Bucket=self.bucket)
        self.seen["bucket"] = self.bucket

    def put(self) -> None:
        self.s3.put_object(Bucket=self.bucket, Key="folder/öne", Body=self.body, Metadata={"colour": "grey"})

    def get(self) -> None:
        answer = self.s3.get_object(Bucket=self.bucket, Key="folder/öne")
        same(answer["Body"].read(), self.body, "the object that was put")
        same(answer["Metadata"], {"colour": "grey"}, "its metadata")
        same(answer["ETag"].strip('"'), hashlib.md5(self.body, usedforsecurity=False).hexdigest(), "its ETag")

    def get_range(self) -> None:
        answer = self.s3.get_object(Bucket=self.bucket, Key="folder/öne", Range="bytes=1000-50999")
        same(answer["Body"].read(), self.body[1000:51000], "a range of it")

    def list_all(self) -> None:
        same(self.keys(), {"folder/öne": len(self.body)}, "the listing")

    def copy(self) -> None:
        self.s3.copy_object(Bucket=self.bucket, Key="copy", CopySource={"Bucket": self.bucket, "Key": "folder/öne"})
        same(self.s3.get_object(Bucket=self.bucket, Key="copy")["Body"].read(), self.body, "the copy")

    def multipart(self) -> None:
        parts = [os.urandom(_PART_BYTES), os.urandom(_PART_BYTES), os.urandom(12_345)]
        where = {"Bucket": self.bucket, "Key": "large"}
        upload = self.s3.create_multipart_upload(**where)["UploadId"]
        done = [
            {
                "PartNumber": number,
                "ETag": self.s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=part)["ETag"],
            }
            for number, part in enumerate(parts, start=1)
        ]
        self.s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": done})
        same(self.s3.get_object(**where)["Body"].read(), b"".join(parts), "the object of three parts")
        across = self.s3.get_object(**where, Range=f"bytes={_PART_BYTES - 10}-{_PART_BYTES + 9}")["Body"].read()
        same(across, parts[0][-10:] + parts[1][:10], "a range across its parts")
        self.seen["multipart_bytes"] = sum(len(part) for part in parts)

    def delete(self) -> None:
        self.s3.delete_object(Bucket=self.bucket, Key="folder/öne")
        self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": [{"Key": "copy"}, {"Key": "large"}]})
        same(self.keys(), {}, "the listing after all was deleted")
        try:
            self.s3.get_object(Bucket=self.bucket, Key="folder/öne")
        except ClientError as error:
            same(error.response["ResponseMetadata"]["HTTPStatusCode"], 404, "the answer for a deleted object")
            return
        raise Untrue("a deleted object can still be read")

    def delete_bucket(self) -> None:
        self.s3.delete_bucket(Bucket=self.bucket)
        names = [bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]]
        same(self.bucket in names, False, "the deleted bucket in the list of buckets")

    def ports(self) -> None:
        address, port = self.given["address"], self.given["port"]
        try:
            self.seen["open_ports"] = open_ports(address, control=(address, port))
        except PacketsLost as error:
            raise Untrue(str(error)) from error
        self.seen["ports_tried"] = len(ALL_PORTS)
        same(self.seen["open_ports"], [port], "the open ports of the endpoint's address")

    def keys(self) -> dict[str, int]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return {row["Key"]: row["Size"] for page in pages for row in page.get("Contents", [])}

    def remove_abandoned(self) -> None:
        """Buckets of probes that were killed, old enough that no other probe can be using them."""
        for bucket in self.s3.list_buckets()["Buckets"]:
            name = bucket["Name"]
            begun = name.removeprefix(_PREFIX).partition("-")[0] if name.startswith(_PREFIX) else ""
            if begun.isdigit() and int(begun) < time.time() - _ABANDONED_S:
                self.remove(name)

    def clean_up(self) -> None:
        """Leave nothing behind, also when something failed; the next probe removes what cannot be removed now."""
        try:
            self.remove(self.bucket)
        except Exception as error:
            self.seen["left_behind"] = f"{self.bucket}: {type(error).__name__}"

    def remove(self, bucket: str) -> None:
        try:
            for upload in self.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
                self.s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
            for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for row in page.get("Contents", []):
                    self.s3.delete_object(Bucket=bucket, Key=row["Key"])
            self.s3.delete_bucket(Bucket=bucket)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise


def same(found: object, wanted: object, what: str) -> None:
    if found != wanted:
        shown = "" if isinstance(found, bytes) else f": {found!r} instead of {wanted!r}"
        raise Untrue(f"{what} is not as it must be{shown}")


if __name__ == "__main__":
    main()
