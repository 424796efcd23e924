"""Objects in MariaDB against objects on disk: both object servers over their own HTTP ports, in one run.

The goal: a 5 MB PUT at no less than a third of the disk server's speed.
Needs root and the base image (see tests/services/mariadb_objects/machine.py). The data lie on a real file system.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.services.mariadb_objects.machine import PACKAGE, Machine, free_port, image

SIZES = {"10 KB": (10_000, 100), "1 MB": (1_000_000, 30), "5 MB": (5_000_000, 30)}
MARIADB = ["--innodb-buffer-pool-size=128M", "--innodb-log-file-size=96M"]
GOAL = 1 / 3


def measure(work: Path, base: Path) -> list[dict[str, object]]:
    machine = Machine(base, work, in_memory=False)
    try:
        machine.start_mariadb(*MARIADB)
        machine.run("mariadb", stdin=(PACKAGE / "setup.sql").read_text())
        ports = {"mariadb": free_port(), "disk": free_port()}
        machine.configure(list(ports.items()))
        for kind, port in ports.items():
            machine.object_server(kind, kind, port)
        clients = {kind: httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) for kind, port in ports.items()}
        return [_row(clients, method, size) for size in SIZES for method in ("PUT", "GET")]
    finally:
        machine.close()


def _row(clients: dict[str, httpx.Client], method: str, size: str) -> dict[str, object]:
    length, repeats = SIZES[size]
    taken: dict[str, list[float]] = {kind: [] for kind in clients}
    # Turn and turn about, so that whatever else the machine does hits both alike.
    for number in range(repeats + 2):
        body = os.urandom(length)
        for kind, client in clients.items():
            milliseconds = _request(client, kind, method, f"{size}-{number}".replace(" ", ""), body)
            if number >= 2:
                taken[kind].append(milliseconds)
    median = {kind: statistics.median(values) for kind, values in taken.items()}
    return {"method": method, "size": size, "requests": repeats, "mariadb_ms": round(median["mariadb"], 2),
            "disk_ms": round(median["disk"], 2), "speed": round(median["disk"] / median["mariadb"], 3)}  # fmt: skip


def _request(client: httpx.Client, device: str, method: str, name: str, body: bytes) -> float:
    path = f"/{device}/0/account/container/{name}"
    started = time.perf_counter()
    if method == "PUT":
        headers = {"X-Timestamp": f"{time.time():.5f}", "Content-Type": "application/octet-stream"}
        response = client.put(path, content=body, headers=headers)
    else:
        response = client.get(path)
    milliseconds = (time.perf_counter() - started) * 1000
    response.raise_for_status()
    if method == "GET" and hashlib.md5(response.content).hexdigest() != response.headers["etag"].strip('"'):
        raise SystemExit(f"{device} answered wrong bytes for {name}")
    return milliseconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    as_json = parser.parse_args().json
    work = Path(tempfile.mkdtemp(prefix="freehold-benchmark-"))
    try:
        rows = measure(work, image())
    finally:
        shutil.rmtree(work)
    reached = next(float(str(row["speed"])) for row in rows if (row["method"], row["size"]) == ("PUT", "5 MB"))
    good = reached >= GOAL
    if as_json:
        print(json.dumps({"rows": rows, "goal": round(GOAL, 3), "put_5mb_speed": reached, "goal_reached": good}))
    else:
        print(f"{'':10}{'MariaDB ms':>12}{'disk ms':>10}{'speed':>8}   (median; speed 1.0 = as fast as disk)")
        for row in rows:
            print(f"{row['method']:4}{row['size']:>6}{row['mariadb_ms']:>12}{row['disk_ms']:>10}{row['speed']:>8}")
        verdict = "reached" if good else "MISSED"
        print(f"5 MB PUT at {reached:.2f} of the disk server's speed; the goal is {GOAL:.2f}: {verdict}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
