"""Run on a host of the customer: write every object into a folder, and say when all of them are there, as they are.

Objects go into tar files of a bucket, some after the other, with a line of JSON for each in a file beside it: key,
ETag, metadata, SHA-256. A tar file counts when it was read back from the disk, and then stands in SHA256SUMS. What is
there is not read again: after a kill it goes on behind it.
"""

import hashlib
import json
import os
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

SUMS = "SHA256SUMS"
VOLUME_BYTES, VOLUME_OBJECTS = 1 << 30, 10_000
BLOCK = 1 << 20
HEADERS = ("cache-control", "content-disposition", "content-encoding", "content-language", "expires")
"""What else an object may be served with."""
SPARE = 1.05
"""What tar files and lines of JSON take beside the objects."""


class Untrue(Exception):
    """What is in the folder is not what the endpoint has."""


def main() -> None:
    given = json.load(sys.stdin)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as authority:
        authority.write(given["ca_certificate"])
        authority.flush()
        try:
            answer = Export(given, authority.name).go_on(given["round_s"])
        except Exception as error:
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}"[:500]}
    print(json.dumps(answer))


class Export:
    """A folder that fills with the buckets of one endpoint."""

    def __init__(self, given: dict[str, Any], authority: str) -> None:
        self.folder = Path(given["folder"], given["instance"])
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.s3 = boto3.client(
            "s3",
            endpoint_url=given["endpoint_url"],
            region_name=given["region"],
            aws_access_key_id=given["access_key_id"],
            aws_secret_access_key=given["secret_access_key"],
            verify=authority or None,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                connect_timeout=5,
                read_timeout=60,
                retries={"total_max_attempts": 5, "mode": "standard"},
            ),
        )

    def go_on(self, round_s: float) -> dict[str, Any]:
        """Write volumes for a while, or until nothing is left to write."""
        there = {bucket: list(self.listing(bucket)) for bucket in self.buckets()}
        done = {bucket: list(self.written(bucket)) for bucket in there}
        missing = {bucket: rows[len(done[bucket]) :] for bucket, rows in there.items()}
        self.check_room(size(missing.values()))
        end = time.monotonic() + round_s  # to list millions takes longer than a round
        left = [self.write(bucket, rows, end) for bucket, rows in missing.items()]
        count = sum(map(len, left))
        answer = {
            "ok": True,
            "done": not count,
            "objects": sum(len(rows) for rows in there.values()),
            "bytes": size(there.values()),
            "left_objects": count,
            "left_bytes": size(left),
        }
        return answer if count else {**answer, "buckets": self.check(there)}

    # -- what the endpoint has

    def buckets(self) -> list[str]:
        return sorted(bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"])

    def listing(self, bucket: str) -> Iterator[dict[str, Any]]:
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for row in page.get("Contents", []):
                yield {"key": row["Key"], "size": row["Size"], "etag": row["ETag"].strip('"')}

    # -- what the folder has

    def sums(self) -> dict[str, str]:
        """File -> SHA-256. A last line that a kill cut off does not count."""
        path = self.folder / SUMS
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return {line[66:]: line[:64] for line in lines if len(line) > 66}

    def volumes(self, bucket: str) -> list[str]:
        """Complete ones, in order."""
        sums = self.sums()
        found: list[str] = []
        while (name := f"{bucket}.{len(found) + 1:06}") and {f"{name}.tar", f"{name}.jsonl"} <= sums.keys():
            found.append(name)
        return found

    def written(self, bucket: str) -> Iterator[dict[str, Any]]:
        for volume in self.volumes(bucket):
            with (self.folder / f"{volume}.jsonl").open() as lines:
                yield from map(json.loads, lines)

    # -- writing

    def check_room(self, wanted: int) -> None:
        room = os.statvfs(self.folder)
        free = room.f_bavail * room.f_frsize
        if wanted * SPARE > free:
            raise OSError(f"{self.folder} has {free / 2**30:.2f} GiB free; {wanted * SPARE / 2**30:.2f} are needed")

    def write(self, bucket: str, rows: list[dict[str, Any]], end: float) -> list[dict[str, Any]]:
        """Volumes of a bucket until there is no time left; returns what is left."""
        while rows and time.monotonic() < end:
            rows = self.write_volume(bucket, rows, end)
        return rows

    def write_volume(self, bucket: str, rows: list[dict[str, Any]], end: float) -> list[dict[str, Any]]:
        """One more volume of a bucket; returns what is left."""
        name = f"{bucket}.{len(self.volumes(bucket)) + 1:06}"
        tar, lines = self.folder / f"{name}.tar", self.folder / f"{name}.jsonl"
        kept: list[dict[str, Any]] = []
        with tarfile.open(tar, "w", format=tarfile.PAX_FORMAT) as file:
            for row in rows:
                kept.append(self.add(file, bucket, row))
                full = sum(r["size"] for r in kept) >= VOLUME_BYTES or len(kept) == VOLUME_OBJECTS
                if full or time.monotonic() > end:
                    break
        lines.write_text("".join(json.dumps(row) + "\n" for row in kept))
        forget(lines)
        self.read_back(tar, kept)
        sums = "".join(f"{sha256(path)}  {path.name}\n" for path in (tar, lines))
        path = self.folder / SUMS
        whole = path.read_text().rpartition("\n") if path.exists() else ("", "", "")
        new = path.with_suffix(".new")
        new.write_text(f"{whole[0]}{whole[1]}{sums}")
        forget(new)
        new.replace(path)
        return rows[len(kept) :]

    def add(self, file: tarfile.TarFile, bucket: str, row: dict[str, Any]) -> dict[str, Any]:
        answer = self.s3.get_object(Bucket=bucket, Key=row["key"])
        member = tarfile.TarInfo(row["key"])
        member.size, member.mtime = answer["ContentLength"], int(answer["LastModified"].timestamp())
        body = Sums(answer["Body"])
        file.addfile(member, body)
        etag = answer["ETag"].strip('"')
        if etag != row["etag"] or ("-" not in etag and body.md5.hexdigest() != etag):
            raise Untrue(f"{bucket}/{row['key']} came as {body.md5.hexdigest()}, listed as {row['etag']}")
        more = {"modified": f"{answer['LastModified']:%Y-%m-%dT%H:%M:%SZ}", "type": answer.get("ContentType", "")}
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        more |= {name: headers[name] for name in HEADERS if name in headers}
        return {**row, **more, "metadata": answer["Metadata"], "sha256": body.sha256.hexdigest()}

    def read_back(self, tar: Path, rows: list[dict[str, Any]]) -> None:
        """From the disk, not from memory."""
        forget(tar)
        with tarfile.open(tar) as file:
            for row, member in zip(rows, file, strict=True):
                body = file.extractfile(member)
                # A name that ends with a slash lost it on its way here, unless it is short.
                name = member.pax_headers.get("path", member.name)
                if body is None or (name, digest(body)) != (row["key"], row["sha256"]):
                    raise Untrue(f"{tar}: {row['key']} is not on the disk as it was sent")

    # -- the proof

    def check(self, there: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
        """Raises Untrue unless the folder has exactly what the endpoint has."""
        sums = self.sums()
        for name, wanted in sums.items():
            if not (self.folder / name).exists():
                raise Untrue(f"{self.folder / name} (SHA-256 {wanted}) is not there any more")
        found = {}
        for bucket, rows in there.items():
            written = list(self.written(bucket))
            if [(w["key"], w["size"], w["etag"]) for w in written] != [(r["key"], r["size"], r["etag"]) for r in rows]:
                raise Untrue(f"{self.folder} holds something else of bucket {bucket} than the endpoint; empty it")
            volumes = self.volumes(bucket)
            found[bucket] = {"objects": len(rows), "bytes": size([rows]), "volumes": len(volumes)}
        return {"buckets": found, "sums_sha256": sha256(self.folder / SUMS) if sums else ""}


class Sums:
    """A body on its way, with its sums."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self.sha256, self.md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)

    def read(self, size: int = BLOCK, /) -> bytes:
        """All of `size`, as files do: the network gives what it has."""
        block = bytearray()
        while len(block) < size and (more := self._body.read(size - len(block))):
            block += more
        self.sha256.update(block)
        self.md5.update(block)
        return bytes(block)


def size(lists: Iterable[list[dict[str, Any]]]) -> int:
    return sum(row["size"] for rows in lists for row in rows)


def digest(file: Any) -> str:
    found = hashlib.sha256()
    while block := file.read(BLOCK):
        found.update(block)
    return found.hexdigest()


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return digest(file)


def forget(path: Path) -> None:
    """On the disk, and out of memory."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
