"""What the clients do all the time. Each writer has keys of its own and reads those of everybody."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import boto3

from .customer import Customer, Failed, connect
from .tally import KINDS, Tally
from .truth import Key, Truth

_MIX = {"get": 40, "put": 25, "delete": 10, "head": 8, "copy": 7, "list": 5}
_MIN_REST_S = 0.2
"""Between attempts that fail: a service that is down is not hammered."""


@dataclass(frozen=True)
class Load:
    """How much is asked at most. Rates are for each kind of client."""

    requests_per_s: float
    workers: int
    keys: int
    object_bytes: int
    part_bytes: int
    parts_every_s: float
    slow_s: float
    slow_upload_bytes: int
    slow_download_bytes: int
    at_most_s: float
    check_at_most_s: float
    seed: int


class Traffic:
    """All clients, each in a thread of its own, until they are told to stop."""

    def __init__(self, given: dict[str, Any], load: Load, bucket: str, truth: Truth, tally: Tally) -> None:
        self._load, self._truth = load, truth
        self._stopping = threading.Event()
        self.broken = ""
        self._everybodys: list[Key] = []
        session = boto3.session.Session()
        self._threads: list[threading.Thread] = []
        for kind in KINDS:
            for number in range(load.workers):
                # One of them has a new connection for each request, the others keep theirs.
                s3 = connect(session, given, kind, fresh=number == load.workers - 1)
                self._quick_worker(Customer(s3, kind, bucket, truth, tally), number)
            bulk = Customer(connect(session, given, kind), kind, bucket, truth, tally)
            self._add(partial(self._parts, bulk))
            self._add(partial(self._slow_uploads, bulk))
            self._add(partial(self._slow_downloads, bulk))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, patience_s: float) -> None:
        """No new requests; those that are under way may end."""
        self._stopping.set()
        end = time.monotonic() + patience_s
        for thread in self._threads:
            thread.join(max(end - time.monotonic(), 0))

    # -- quick requests at a steady rate

    def _quick_worker(self, customer: Customer, number: int) -> None:
        prefix = f"{customer.kind}/{number}/"
        own = [self._truth.key(f"{prefix}{i:03}") for i in range(self._load.keys)]
        self._everybodys += own
        rng = random.Random(f"{self._load.seed} {prefix}")
        self._add(partial(self._quick_requests, customer, prefix, own, rng))

    def _quick_requests(self, customer: Customer, prefix: str, own: list[Key], rng: random.Random) -> None:
        interval = self._load.workers / self._load.requests_per_s
        due = time.monotonic() + rng.random() * interval
        while not self._stopping.wait(max(due - time.monotonic(), 0)):
            due = max(due + interval, time.monotonic())
            self._one(partial(self._quick_request, customer, prefix, own, rng))

    def _quick_request(self, customer: Customer, prefix: str, own: list[Key], rng: random.Random) -> None:
        operation = rng.choices(list(_MIX), list(_MIX.values()))[0]
        writable = [key for key in own if self._truth.may_write(key)]
        present = [key for key in writable if self._truth.present(key)]
        if operation == "list":
            customer.list(prefix, own)
        elif operation == "copy" and present and len(writable) > 1:
            source = rng.choice(present)
            customer.copy(source, rng.choice([key for key in writable if key is not source]))
        elif operation == "delete" and present:
            customer.delete(rng.choice(present))
        elif operation == "put" and writable:
            customer.put(rng.choice(writable), self._body(rng, self._load.object_bytes))
        else:
            written = [key for key in self._everybodys if len(key.versions) > 1]
            if written:
                (customer.head if operation == "head" else customer.get)(rng.choice(written))

    # -- large and slow ones

    def _parts(self, customer: Customer) -> None:
        """Upload in parts and read back, over and over."""
        keys = [self._truth.key(f"{customer.kind}-parts/{i}") for i in range(3)]
        rng = random.Random(f"{self._load.seed} {customer.kind} parts")

        def once() -> None:
            key = next((key for key in rng.sample(keys, len(keys)) if self._truth.may_write(key)), None)
            if key is not None:
                if self._truth.present(key):
                    customer.delete(
                        key
                    )  # Swift keeps the parts of an upload that is overwritten: the account would fill
                content = rng.randbytes(self._load.part_bytes) + self._body(rng, self._load.object_bytes)
                customer.upload_in_parts(key, content, self._load.part_bytes)
                customer.get(key, "get_parts")

        while not self._stopping.is_set():
            self._one(once)
            self._stopping.wait(self._load.parts_every_s)

    def _slow_uploads(self, customer: Customer) -> None:
        key = self._truth.key(f"{customer.kind}-slow/upload")
        rng = random.Random(f"{self._load.seed} {customer.kind} upload")
        while not self._stopping.is_set():
            if self._truth.may_write(key):
                content = self._body(rng, self._load.slow_upload_bytes)
                self._one(partial(customer.slow_put, key, content, self._load.slow_s, self._stopping.wait))
            self._stopping.wait(_MIN_REST_S)

    def _slow_downloads(self, customer: Customer) -> None:
        key = self._truth.key(f"{customer.kind}-slow/download")
        rng = random.Random(f"{self._load.seed} {customer.kind} download")
        content = self._body(rng, self._load.slow_download_bytes)
        while not self._stopping.is_set():
            if self._truth.present(key):
                self._one(partial(customer.slow_get, key, len(content), self._load.slow_s, self._stopping.wait))
            elif self._truth.may_write(key):
                self._one(partial(customer.upload_in_parts, key, content, self._load.part_bytes))
            self._stopping.wait(_MIN_REST_S)

    @staticmethod
    def _body(rng: random.Random, most: int) -> bytes:
        """Sizes differ, so that a listing shows which version it is of."""
        return rng.randbytes(rng.randint(most // 2, most))

    def _add(self, work: Callable[[], None]) -> None:
        self._threads.append(threading.Thread(target=self._guarded, args=(work,), daemon=True))

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            # A client that ended unnoticed would find nothing wrong any more.
            self.broken = f"a client broke: {type(error).__name__}: {error}"

    @staticmethod
    def _one(request: Callable[[], None]) -> None:
        try:
            request()
        except Failed:
            time.sleep(_MIN_REST_S)
