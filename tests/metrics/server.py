"""A small server that answers as Prometheus does, and can be ill in every way in which one can be."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

GIB = 1 << 30
Value = float | Callable[[float], float]
"""Constant, or a function of the time in seconds."""


def usage(stored: Value, capacity_gib: float = 1, requests: float = 1.0, **more: Value) -> dict[str, Value]:
    """What a healthy instance tells. `stored` is a share of its capacity."""

    def stored_bytes(at: float) -> float:
        return (stored(at) if callable(stored) else stored) * capacity_gib * GIB

    return {
        "stored_bytes": stored_bytes,
        "capacity_bytes": capacity_gib * GIB,
        "objects": 10.0,
        "requests_per_s": requests,
        "errors_per_s": 0.0,
        "latency_seconds": 0.05,
        "cpu_ratio": 0.1,
        "disk_used_ratio": 0.1,
        "measured_at_seconds": lambda at: at,
        **more,
    }


@dataclass
class FakePrometheus:
    instances: dict[str, dict[str, Value]] = field(default_factory=dict)
    clock: Callable[[], float] = time.time
    slow_s: float = 0.0
    raw: bytes | None = None
    """Answered to everything, in place of an answer."""
    code: int = 200
    twice: bool = False
    """Two series for everything."""
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str, given: dict[str, str]) -> dict[str, Any]:
        query = given["query"]
        self.asked.append(query)
        if query == "time()":
            return {"resultType": "scalar", "result": [self.clock(), str(self.clock())]}
        name = re.findall(r"freehold:instance_([a-z_]+)", query)[0]
        if query.endswith(" < 0.9"):  # seen too seldom: nobody here is
            return {"resultType": "matrix", "result": []}
        if path.endswith("query"):
            times = [float(given["time"])]
            return {"resultType": "vector", "result": self._rows(name, times, "value")}
        start, end, step = (float(given[key]) for key in ("start", "end", "step"))
        times = [start + n * step for n in range(int((end - start) / step) + 1)]
        return {"resultType": "matrix", "result": self._rows(name, times, "values")}

    def _rows(self, name: str, times: list[float], key: str) -> list[dict[str, Any]]:
        rows = []
        for instance, tells in self.instances.items():
            told: Value | None = tells.get(name)
            if told is None:
                continue
            values = [[at, str(told(at) if callable(told) else told)] for at in times]
            metric = {"__name__": name, "instance": instance, "customer": "acme"}
            rows.append({"metric": metric, key: values if key == "values" else values[0]})
        return rows * 2 if self.twice else rows


@contextmanager
def fake_prometheus() -> Iterator[FakePrometheus]:
    fake = FakePrometheus()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            given = {key: values[0] for key, values in parse_qs(body).items()}
            time.sleep(fake.slow_s)
            data = fake.raw if fake.raw is not None else None
            if data is None:
                data = json.dumps({"status": "success", "data": fake.answer(self.path, given)}).encode()
            self.send_response(fake.code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None: ...  # who asked has gone away

    with Server(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        fake.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield fake
        finally:
            server.shutdown()
