"""The program that makes a histogram of HAProxy's log: what it counts, and that Prometheus reads what it writes."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from freehold.stack.ports import free_ports
from tests.services.object_storage.test_stages import GOLDEN

PROGRAM = GOLDEN / "usr" / "local" / "lib" / "freehold" / "latency"
LINE = "198.18.64.200 {ft} proxies/srv-1 200 12 0/{queued}/{connected}/{answered}/900 {method} /bucket/key"


def line(answered: int, method: str = "GET", ft: str = "s3~", queued: int = 0, connected: int = 1) -> str:
    return LINE.format(ft=ft, queued=queued, connected=connected, answered=answered, method=method)


@pytest.fixture(scope="module")
def program() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "latency"}
    exec(compile(PROGRAM.read_text(), str(PROGRAM), "exec"), names)
    return names


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (line(40), ("GET", 0.041)),
        (line(40, "PATCH", queued=9), ("other", 0.05)),
        (line(40, ft="metrics"), None),
        (line(-1), None),
        ("Proxy s3 started.", None),
    ],
    ids=["an answer", "another method", "a look at the metrics", "the client went away", "other words"],
)
def test_what_a_line_says(program: dict[str, Any], text: str, found: object) -> None:
    assert program["waited"](text) == found


def test_lines_become_a_histogram(tmp_path: Path) -> None:
    [port] = free_ports(1)
    file = tmp_path / "latency.prom"
    text = PROGRAM.read_text()
    for old, new in (
        ("PORT = 8406", f"PORT = {port}"),
        ('Path("/var/lib/prometheus/node-exporter/freehold_latency.prom")', f'Path("{file}")'),
        ("EVERY_S = 5", "EVERY_S = 0.05"),
    ):
        assert old in text
        text = text.replace(old, new)
    running = subprocess.Popen([sys.executable, "-c", text])
    try:
        _until(file.exists)
        assert _value(file, "GET", "+Inf") == 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as log:
            for answered in (4, 40, 3000):
                log.sendto(line(answered).encode(), ("127.0.0.1", port))
            for noise in (b"1/2/x/y", b"\xff" * 3000, b"", b"a s3~ c d e 1/x/3/4/5 g h"):
                log.sendto(noise, ("127.0.0.1", port))
            log.sendto(line(4, "PUT").encode(), ("127.0.0.1", port))
        _until(lambda: _value(file, "PUT", "+Inf") == 1)
        assert [_value(file, "GET", le) for le in ("0.005", "0.05", "2.5", "5", "+Inf")] == [1, 2, 2, 3, 3]
        assert running.poll() is None
    finally:
        running.kill()
        running.wait(10)


def _value(file: Path, method: str, le: str) -> float:
    (family,) = text_string_to_metric_families(file.read_text())
    assert (family.name, family.type) == ("freehold_request_seconds", "histogram")
    (found,) = [s.value for s in family.samples if s.labels == {"method": method, "le": le}]
    return float(found)


def _until(holds: Any) -> None:
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)
