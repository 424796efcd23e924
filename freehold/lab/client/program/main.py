"""A counting client: loads an S3 endpoint, and counts everything that a customer would mind.

Reads JSON lines: what it is given, then `{"phase": NAME, "judged": BOOL}` and `{"stop": true}`. Prints one with
`progress` every second and one with the `result` at the end. When its input ends it stops and judges nothing.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import boto3

from .customer import Customer, Failed, connect
from .tally import WITH_RETRIES, Tally
from .traffic import Load, Traffic
from .truth import Truth

_PREFIX = "freehold-count-"
_WARM_UP, _CHECK = "warm-up", "check"
_ABANDONED_S = 3600
PATIENCE_S = 90.0
"""For requests that are under way at the end; boto3 waits 60 s for an answer."""

Say = Callable[[dict[str, Any]], None]


class Run:
    """One run, in a bucket of its own that is removed at its end."""

    def __init__(self, given: dict[str, Any], load: Load, patience_s: float = PATIENCE_S) -> None:
        self.load, self._patience_s = load, patience_s
        # Named by when it is over at the latest, so that a later run knows what a killed one left.
        self.bucket = f"{_PREFIX}{int(time.time() + load.at_most_s + load.check_at_most_s)}-{uuid.uuid4().hex[:8]}"
        self._s3 = connect(boto3.session.Session(), given, WITH_RETRIES)
        self.tally, self.truth = Tally(), Truth()
        self.tally.phase(_WARM_UP, judged=False)
        self._checker = Customer(self._s3, WITH_RETRIES, self.bucket, self.truth, self.tally)
        self._traffic = Traffic(given, load, self.bucket, self.truth, self.tally)

    def start(self) -> None:
        self._remove_abandoned()
        self._s3.create_bucket(Bucket=self.bucket)
        self._traffic.start()

    def check_health(self) -> None:
        if self._traffic.broken:
            raise RuntimeError(self._traffic.broken)

    def finish(self) -> dict[str, Any]:
        """Stop, read back all that was ever written, and judge."""
        self.tally.phase(_CHECK, judged=False)
        self._traffic.stop(self._patience_s)
        self.tally.give_up()
        self.check_health()
        end = time.monotonic() + self.load.check_at_most_s
        keys = self.truth.written()
        for key in keys:
            try:
                if time.monotonic() > end:
                    raise Failed
                self._checker.get(key)
            except Failed:
                self.tally.unchecked()
        try:
            self._checker.list("", keys, page=100)
        except Failed:
            self.tally.unchecked()
        return {**self.tally.result(), "keys": len(keys)}

    def abandon(self) -> None:
        self._traffic.stop(self._patience_s)

    def remove(self) -> bool:
        """Remove the bucket and all in it; whether that went well."""
        try:
            self._remove(self.bucket, [key.name for key in self.truth.written()])
        except Exception:
            return False
        return True

    def _remove_abandoned(self) -> None:
        for bucket in self._s3.list_buckets()["Buckets"]:
            name = bucket["Name"]
            if name.startswith(_PREFIX) and int(name.split("-")[2]) + _ABANDONED_S < time.time():
                self._remove(name, [])

    def _remove(self, bucket: str, known: list[str]) -> None:
        """Listings may be behind: what is known to be there is deleted without asking."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        names = {*known, *(entry["Key"] for page in pages for entry in page.get("Contents", ()))}
        for name in sorted(names):
            self._s3.delete_object(Bucket=bucket, Key=name)
        for upload in self._s3.list_multipart_uploads(Bucket=bucket).get("Uploads", ()):
            self._s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        self._s3.delete_bucket(Bucket=bucket)


def serve(run: Run, orders: queue.Queue[dict[str, Any]], say: Say) -> None:
    """Follow the orders until one of them, or the time, ends the run."""
    run.start()
    threading.Thread(target=_tell, args=(run, say), daemon=True).start()
    end = time.monotonic() + run.load.at_most_s
    order: dict[str, Any] = {}
    while "stop" not in order and "gone" not in order and time.monotonic() < end:
        run.check_health()
        try:
            order = orders.get(timeout=1)
        except queue.Empty:
            continue
        if "phase" in order:
            run.tally.phase(order["phase"], order["judged"])
            say({"phase": order["phase"]})
    if "gone" in order:
        run.abandon()
        run.remove()
    else:
        say({"result": {**run.finish(), "removed": run.remove()}})


def _tell(run: Run, say: Say) -> None:
    while True:
        say({"progress": run.tally.progress()})
        time.sleep(1)


def main() -> None:
    given = json.loads(sys.stdin.buffer.readline())
    orders: queue.Queue[dict[str, Any]] = queue.Queue()
    speaking = threading.Lock()

    def listen() -> None:
        for line in sys.stdin.buffer:
            orders.put(json.loads(line))
        orders.put({"gone": True})

    def say(message: dict[str, Any]) -> None:
        try:
            with speaking:
                sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")
                sys.stdout.buffer.flush()
        except OSError:
            orders.put({"gone": True})

    threading.Thread(target=listen, daemon=True).start()
    code = 0
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as authority:
        authority.write(given["target"]["ca_certificate"])
        authority.flush()
        try:
            serve(Run({**given["target"], "authority": authority.name}, Load(**given["load"])), orders, say)
        except Exception as error:
            say({"error": f"{type(error).__name__}: {error}"[:500]})
            code = 1
    os._exit(code)  # clients that still wait for an answer are not waited for
