"""A small S3 server on the loopback address that keeps every version, and misbehaves as it is told to."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

SLOW_S = 1.0
WHEN = "Fri, 27 Nov 2026 08:00:00 GMT"


class Fault(StrEnum):
    """What can go wrong. Writes are acknowledged and reads answered with 200, but for the last five."""

    LOSE = "lose"  # a write of a new key is acknowledged and not kept
    FORGET = "forget"  # a key that is there is answered with 404
    STALE = "stale"  # the version before
    RESURRECT = "resurrect"  # what was deleted
    CORRUPT = "corrupt"  # one bit
    MIX = "mix"  # the body of now with the metadata of before
    WRONG_TAG = "wrong tag"  # a write is acknowledged with another checksum
    LIST_MISSING = "list: missing"
    LIST_EXTRA = "list: extra"
    LIST_STALE = "list: stale"  # the size of the version before
    SLOW = "slow"
    UNAVAILABLE = "unavailable"  # 503
    DROP_REQUEST = "drop request"  # the connection ends before anything is done
    DROP_ANSWER = "drop answer"  # and after it was done
    CUT = "cut"  # half a body, then the connection ends


@dataclass(frozen=True)
class Version:
    """One state of a key; without a body it was deleted."""

    body: bytes | None = None
    digest: str = ""

    @property
    def tag(self) -> str:
        return hashlib.md5(self.body or b"").hexdigest()


@dataclass
class Store:
    """Everything that was ever written, and the fault that is on."""

    buckets: dict[str, dict[str, list[Version]]] = field(default_factory=dict)
    uploads: dict[str, tuple[str, dict[int, bytes]]] = field(default_factory=dict)
    fault: Fault | None = None
    only: str = ""
    """Faults befall keys that contain this."""
    times: int = 0
    """How often more."""
    fired: int = 0
    connections: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def misbehave(self, fault: Fault, times: int = 1_000_000, only: str = "") -> None:
        with self.lock:
            self.fault, self.times, self.only, self.fired = fault, times, only, 0

    def behave(self) -> int:
        """All is well again; returns how often it was not."""
        with self.lock:
            self.fault = None
            return self.fired

    def hits(self, fault: Fault, key: str = "", possible: bool = True) -> bool:
        with self.lock:
            if not possible or self.fault is not fault or self.times <= 0 or self.only not in key:
                return False
            self.times -= 1
            self.fired += 1
            return True


Given = tuple[Store, dict[str, str]]
"""A server's store, and what a client must be given."""


class Handler(BaseHTTPRequestHandler):
    """Path style, no signatures checked."""

    protocol_version = "HTTP/1.1"
    store: Store

    def setup(self) -> None:
        super().setup()
        self.store.connections += 1

    def log_message(self, *_: Any) -> None:
        pass

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        url = urlsplit(self.path)
        _, bucket, *rest = unquote(url.path).split("/", 2)
        self.asked = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        self.bucket, self.key = bucket, rest[0] if rest else ""
        self.content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.store.hits(Fault.SLOW, self.key):
            time.sleep(SLOW_S)
        if self.store.hits(Fault.UNAVAILABLE, self.key):
            return self._answer(503, _error("ServiceUnavailable"))
        if self.store.hits(Fault.DROP_REQUEST, self.key):
            return self._drop()
        with self.store.lock:
            answer = self._act()
        if self.store.hits(Fault.DROP_ANSWER, self.key, self.command in ("PUT", "DELETE") and bool(self.key)):
            return self._drop()
        return self._answer(*answer)

    def _act(self) -> tuple[int, bytes, dict[str, str]]:
        if not self.bucket:
            names = "".join(f"<Bucket><Name>{name}</Name></Bucket>" for name in self.store.buckets)
            return 200, _xml(f"<ListAllMyBucketsResult><Buckets>{names}</Buckets></ListAllMyBucketsResult>"), {}
        if not self.key:
            return self._of_bucket()
        if "uploads" in self.asked or "uploadId" in self.asked:
            return self._of_upload()
        return getattr(self, f"_{self.command.lower()}")()

    def _of_bucket(self) -> tuple[int, bytes, dict[str, str]]:
        if self.command == "PUT":
            self.store.buckets.setdefault(self.bucket, {})
        elif self.command == "DELETE":
            if any(versions[-1].body is not None for versions in self.store.buckets[self.bucket].values()):
                return 409, _error("BucketNotEmpty"), {}
            del self.store.buckets[self.bucket]
        elif "uploads" in self.asked:
            left = "".join(
                f"<Upload><Key>{key}</Key><UploadId>{name}</UploadId></Upload>"
                for name, (key, _) in self.store.uploads.items()
            )
            return 200, _xml(f"<ListMultipartUploadsResult>{left}</ListMultipartUploadsResult>"), {}
        elif self.command == "GET":
            return 200, self._listing(), {}
        return 200, b"", {}

    def _listing(self) -> bytes:
        prefix, most = self.asked.get("prefix", ""), int(self.asked.get("max-keys", 1000))
        after = self.asked.get("continuation-token", "")
        sizes = {}
        for key, versions in self.store.buckets[self.bucket].items():
            now, before = versions[-1], versions[-2] if len(versions) > 1 else Version()
            there = now.body is not None
            if not key.startswith(prefix) or key <= after:
                continue
            if there and not self.store.hits(Fault.LIST_MISSING, key):
                old = self.store.hits(Fault.LIST_STALE, key, before.body is not None)
                sizes[key] = len((before if old else now).body or b"")
            elif not there and self.store.hits(Fault.LIST_EXTRA, key, before.body is not None):
                sizes[key] = len(before.body or b"")
        page = sorted(sizes)[:most]
        tags = {key: versions[-1].tag for key, versions in self.store.buckets[self.bucket].items()}
        entries = "".join(
            f'<Contents><Key>{escape(k)}</Key><Size>{sizes[k]}</Size><ETag>"{tags[k]}"</ETag></Contents>' for k in page
        )
        more = len(page) < len(sizes)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        told = f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{entries}"
        return _xml(f"<ListBucketResult>{told}</ListBucketResult>")

    def _of_upload(self) -> tuple[int, bytes, dict[str, str]]:
        if "uploads" in self.asked:
            name = f"{len(self.store.uploads)}-{self.headers['x-amz-meta-digest']}"
            self.store.uploads[name] = (self.key, {})
            told = f"<UploadId>{name}</UploadId>"
            return 200, _xml(f"<InitiateMultipartUploadResult>{told}</InitiateMultipartUploadResult>"), {}
        name = self.asked["uploadId"]
        if self.command == "PUT":
            self.store.uploads[name][1][int(self.asked["partNumber"])] = self.content
            return 200, b"", {"ETag": f'"{Version(self.content).tag}"'}
        _, parts = self.store.uploads.pop(name)
        if self.command == "POST":
            self._keep(Version(b"".join(parts[i] for i in sorted(parts)), name.partition("-")[2]))
        told = '<ETag>"of parts"</ETag>'
        return 200, _xml(f"<CompleteMultipartUploadResult>{told}</CompleteMultipartUploadResult>"), {}

    def _put(self) -> tuple[int, bytes, dict[str, str]]:
        if source := self.headers.get("x-amz-copy-source"):
            found = self.store.buckets[self.bucket][unquote(source).lstrip("/").partition("/")[2]][-1]
            self._keep(found)
            return 200, _xml(f'<CopyObjectResult><ETag>"{found.tag}"</ETag></CopyObjectResult>'), {}
        version = Version(self.content, self.headers["x-amz-meta-digest"])
        if not self.store.hits(Fault.LOSE, self.key, self.key not in self.store.buckets[self.bucket]):
            self._keep(version)
        wrong = self.store.hits(Fault.WRONG_TAG, self.key)
        return 200, b"", {"ETag": f'"{"0" * 32 if wrong else version.tag}"'}

    def _delete(self) -> tuple[int, bytes, dict[str, str]]:
        if self.key in self.store.buckets[self.bucket]:
            self._keep(Version())
        return 204, b"", {}

    def _keep(self, version: Version) -> None:
        self.store.buckets[self.bucket].setdefault(self.key, []).append(version)

    def _head(self) -> tuple[int, bytes, dict[str, str]]:
        return self._get()

    def _get(self) -> tuple[int, bytes, dict[str, str]]:
        versions = self.store.buckets[self.bucket].get(self.key, [Version()])
        now, before = versions[-1], versions[-2] if len(versions) > 1 else Version()
        there, hits = now.body is not None, self.store.hits
        if hits(Fault.STALE, self.key, there and before.body is not None) or hits(
            Fault.RESURRECT, self.key, not there and before.body is not None
        ):
            now = before
        if hits(Fault.MIX, self.key, there and before.body is not None):
            now = Version(now.body, before.digest)
        if hits(Fault.CORRUPT, self.key, there and self.command == "GET"):
            assert now.body is not None
            now = Version(bytes([now.body[0] ^ 1]) + now.body[1:], now.digest)
        if now.body is None or hits(Fault.FORGET, self.key, there):
            return 404, _error("NoSuchKey"), {}
        return 200, now.body, {"ETag": f'"{now.tag}"', "x-amz-meta-digest": now.digest, "Last-Modified": WHEN}

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        cut = self.store.hits(Fault.CUT, self.key, self.command == "GET" and status == 200 and bool(self.key))
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        if last := self.headers.get("Connection") == "close":
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = cut or last

    def _drop(self) -> None:
        self.close_connection = True


class Server(ThreadingHTTPServer):
    """A thread for each connection, and no client turned away."""

    daemon_threads = True
    request_queue_size = 128


def _xml(inside: str) -> bytes:
    return f"<?xml version='1.0' encoding='UTF-8'?>{inside}".encode()


def _error(code: str) -> bytes:
    return _xml(f"<Error><Code>{code}</Code><Message>{code}</Message></Error>")


@contextmanager
def s3_server() -> Iterator[Given]:
    store = Store()
    server = Server(("127.0.0.1", 0), type("OwnHandler", (Handler,), {"store": store}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield (
            store,
            {
                "endpoint_url": f"http://127.0.0.1:{server.server_port}",
                "region": "us-east-1",
                "access_key_id": "acme:owner",
                "secret_access_key": "not-a-secret",
                "ca_certificate": "",
                "authority": "",
            },
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
