"""One machine per test module: a MariaDB, the MariaDB object server `sql1`, the stock disk object server `disk1`."""

from __future__ import annotations

import hashlib
import os
import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

import httpx
import pytest

from tests.services.mariadb_objects.machine import PACKAGE, PREFIX, SUFFIX, Machine, Process, free_port, image

LEASE_SECONDS = 3
CHUNK = 1 << 16
# Every byte that any quoting could get wrong, and chunks that start and end with them.
NASTY = bytes(range(256)) + b"'\\'\\\\''\0\n\r\x1a\"%s%%?`" * 50

# No kept-alive connections: servers are restarted under it.
HTTP = httpx.Client(timeout=60, limits=httpx.Limits(max_keepalive_connections=0))


def nasty(size: int) -> bytes:
    return (NASTY * (size // len(NASTY) + 1))[:size]


def timestamp(seconds: float) -> str:
    return f"{seconds:016.5f}"


def eventually(what: str, ask: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not ask():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@dataclass
class Node:
    """An object server, as Swift's proxy speaks to it."""

    machine: Machine
    device: str
    port: int
    process: Process | None = None

    def path(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{self.device}/{self.partition(name)}/a/c/{name}"

    def hash(self, name: str) -> str:
        return hashlib.md5(f"{PREFIX}/a/c/{unquote(name)}{SUFFIX}".encode(), usedforsecurity=False).hexdigest()

    def partition(self, name: str) -> int:
        return int(self.hash(name)[:8], 16) >> (32 - self.machine.part_power)

    def call(
        self, method: str, name: str, at: float | None = None, body: object = None, **headers: str
    ) -> httpx.Response:
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        if at is not None:
            sent["X-Timestamp"] = timestamp(at)
        if method == "PUT":
            sent.setdefault("Content-Type", "application/octet-stream")
        raw = {key.encode(): value.encode() for key, value in sent.items()}
        return HTTP.request(method, self.path(name), headers=raw, content=body)  # type: ignore[arg-type]

    def put(self, name: str, at: float, body: object = b"", **headers: str) -> httpx.Response:
        return self.call("PUT", name, at, body, **headers)

    def get(self, name: str, **headers: str) -> httpx.Response:
        return self.call("GET", name, None, **headers)

    def head(self, name: str) -> httpx.Response:
        return self.call("HEAD", name)

    def delete(self, name: str, at: float) -> httpx.Response:
        return self.call("DELETE", name, at)

    def post(self, name: str, at: float, **headers: str) -> httpx.Response:
        return self.call("POST", name, at, **headers)

    def hashes(self, partition: int) -> dict[str, str]:
        """What a replicator is told of a partition, by suffix."""
        url = f"http://127.0.0.1:{self.port}/{self.device}/{partition}"
        answer: dict[str, str] = pickle.loads(HTTP.request("REPLICATE", url).content)
        return answer

    def restart(self) -> None:
        self.process = self.machine.restart_object_server(self.device, self.port)


@dataclass
class Site:
    machine: Machine
    mariadb: Process
    sql1: Node
    disk1: Node

    def bodies(self) -> int:
        return int(self.machine.sql("SELECT COUNT(*) FROM bodies")[0][0])

    def chunks(self) -> int:
        return int(self.machine.sql("SELECT COUNT(*) FROM chunks")[0][0])

    def collect(self) -> dict[str, object]:
        return self.machine.command("collector", "sql1")

    def manifest(self) -> dict[str, dict[str, object]]:
        return {row["hash"]: row for row in self.machine.command("manifest", "sql1")["listing"]}  # type: ignore[attr-defined]

    def ring(self, **weights: float) -> None:
        nodes = [self.sql1, self.disk1]
        self.machine.ring([(node.device, node.port, weights[node.device]) for node in nodes])

    def clear(self) -> None:
        """Forget every object, at once."""
        self.machine.sql("DELETE FROM objects; DELETE FROM quarantined; DELETE FROM chunks; DELETE FROM bodies")
        self.machine.run("rm -rf /srv/disk1/disk1/objects /srv/disk1/disk1/tmp")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if os.geteuid() != 0:
        pytest.skip("needs root: the machine is made of namespaces")
    machine = Machine(image(), tmp_path_factory.mktemp("machine"))
    try:
        mariadb = machine.start_mariadb()
        machine.run("mariadb", stdin=(PACKAGE / "setup.sql").read_text())
        sql1, disk1 = Node(machine, "sql1", free_port()), Node(machine, "disk1", free_port())
        machine.configure([("sql1", sql1.port), ("disk1", disk1.port)])
        settings = (
            f"mariadb_chunk_size = {CHUNK}\nlease_seconds = {LEASE_SECONDS}\nbytes_per_second = 0\nmariadb_timeout = 10"
        )
        sql1.process = machine.object_server("mariadb", "sql1", sql1.port, settings)
        disk1.process = machine.object_server("disk", "disk1", disk1.port)
        machine.command("schema", "sql1")
        yield Site(machine, mariadb, sql1, disk1)
    finally:
        machine.close()
