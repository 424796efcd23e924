"""A storage server emptied while its customer works: by Freehold's waypoint, and by Swift's own mover at full speed.

Both move the same data over the same rings on the same machines in one run, in turns. Freehold's time includes its
proof; its passes yield to customers, the own mover's do not, and read pieces of the size that Swift comes with. Before
that every storage server computes for a while, as politely, and nothing moves: what customers feel then is what the
shared processors do. Boots a lab, so it needs root and the computer for itself.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
from freehold.lab.client import QUIET, Load
from freehold.models.change import Change, WaypointRef
from freehold.models.plan import Plan
from freehold.services.base import Waypoint
from freehold.services.object_storage.blueprint import blueprint
from tests.services.object_storage.conftest import CUSTOMER_HOST
from tests.services.object_storage.mover import Mover, moving
from workflows import policies
from workflows.moving import Pace

GOAL = 0.8
QUIET_S, BUSY_S = 30, 30
BUSY = "nothing moves, but every storage server computes"
OWN, OURS = "Swift's own mover, unthrottled", "Freehold"
PASSES_MOST = 20
STORAGE_SERVERS = 4

FILL = """
import json, os, sys
from concurrent.futures import ThreadPoolExecutor
import boto3
from botocore.config import Config
given = json.load(sys.stdin)
ca = "/tmp/consolidation-ca.pem"
open(ca, "w").write(given["ca_certificate"])
s3 = boto3.client("s3", endpoint_url=given["endpoint_url"], region_name=given["region"], verify=ca,
                  aws_access_key_id=given["access_key_id"], aws_secret_access_key=given["secret_access_key"],
                  config=Config(s3={"addressing_style": "path"}))
s3.create_bucket(Bucket="bulk")
def put(number):
    s3.put_object(Bucket="bulk", Key=f"object-{number}", Body=os.urandom(given["object_bytes"]))
with ThreadPoolExecutor(4) as pool:
    list(pool.map(put, range(given["objects"])))
print(json.dumps({"ok": True}))
"""

OWN_PASS = """
import json, subprocess
from pathlib import Path
conf = Path("/etc/swift/freehold")
plain = [line for line in (conf / "replication-server.conf").read_text().splitlines() if "chunk_size" not in line]
(conf / "plain.conf").write_text("\\n".join(plain))
for kind, file in (("account", "account-server"), ("container", "container-server"), ("object", "plain")):
    subprocess.run(["runuser", "-u", "swift", "--", f"/usr/bin/swift-{kind}-replicator",
                    f"{conf}/{file}.conf", "once"], capture_output=True)
(conf / "plain.conf").unlink()
print(json.dumps({"ok": True}))
"""

UNTHROTTLE = """
import json, subprocess
from pathlib import Path
unit = ["systemctl", "show", "--property", "MainPID", "--value", "freehold-replication.service"]
pid = subprocess.run(unit, capture_output=True, text=True, check=True).stdout.strip()
subprocess.run(["renice", "--priority", "0", "--pid", pid], capture_output=True, check=True)
group = Path(f"/proc/{pid}/autogroup")
if group.exists():
    group.write_text("0")
print(json.dumps({"ok": True}))
"""

COMPUTE = """
import json, os, sys, time
given = json.load(sys.stdin)
os.nice(given["niceness"])
end = time.monotonic() + given["seconds"]
while time.monotonic() < end:
    pass
print(json.dumps({"ok": True}))
"""

HELD = """
import json
from pathlib import Path
sizes = []
for file in Path("/srv/node").glob("*/objects/*/*/*/*"):
    if file.suffix in (".data", ".ts", ".meta"):
        try:
            sizes.append(file.stat().st_size)
        except FileNotFoundError:
            pass  # its own pass has just taken it away
print(json.dumps({"objects": len(sizes), "bytes": sum(sizes)}))
"""


def measure(objects: int, object_bytes: int, turns: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, moving("drains", "198.18.46.0/24", Path(folder)) as mover:
        mover.changed(tier="distributed", storage_servers=STORAGE_SERVERS)
        _fill(mover, objects, object_bytes)
        with mover.counting(Load(requests_per_s=4)) as client:
            mover.client = client
            client.phase(QUIET)
            time.sleep(QUIET_S)
            client.phase(BUSY)
            _computing(mover)
            client.phase("between")
            rows = [_drained(mover, way, turn) for turn in range(turns) for way in (OURS, OWN)]
            result = client.stop()
    phases = {phase.name: phase for phase in result.phases}
    for row in rows:
        phase = phases[row.pop("phase")]
        row |= {"p99_ms": phase.p99_ms, "cpu": round(phase.cpu, 2)}
    ratios = [ours["mib_per_s"] / own["mib_per_s"] for ours, own in zip(rows[::2], rows[1::2], strict=True)]
    wrong = {what: count for what, count in result.wrong.items() if count}
    return {"rows": rows, "quiet_p99_ms": phases[QUIET].p99_ms, "quiet_cpu": round(phases[QUIET].cpu, 2),
            "busy_p99_ms": phases[BUSY].p99_ms, "busy_cpu": round(phases[BUSY].cpu, 2),
            "wrong": wrong, "requests": result.requests, "ratios": [round(ratio, 2) for ratio in ratios],
            "ratio": round(median(ratios), 2), "goal": GOAL}  # fmt: skip


def _fill(mover: Mover, objects: int, object_bytes: int) -> None:
    given = {**mover.bench.service.credentials(mover.plan), "objects": objects, "object_bytes": object_bytes}
    with mover.bench.session(CUSTOMER_HOST) as host:
        host.run(FILL, given, 900)


def _computing(mover: Mover) -> None:
    given = {"seconds": BUSY_S, "niceness": blueprint().moving.niceness}
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: _run(mover, name, COMPUTE, given), _servers(mover.plan)))


def _drained(mover: Mover, way: str, turn: int) -> dict[str, Any]:
    """From four storage servers to three; only the time in which data moves counts."""
    client, phase = mover.client, f"{way}, turn {turn + 1}"
    assert client
    if len(_servers(mover.plan)) < STORAGE_SERVERS:
        mover.client = None  # it goes on, but makes no phases of these waypoints
        mover.changed(storage_servers=STORAGE_SERVERS)
        mover.client = client
    change = mover.wanted(storage_servers=STORAGE_SERVERS - 1)
    mover.begin(change)
    leaver = change.after.leaves[0]
    row: dict[str, Any] = {}
    for waypoint in mover.bench.service.path(change.before, change.after):
        if not waypoint.name.startswith("drain"):
            mover.reach(change, waypoint, _ref(change, waypoint))
            continue
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(mover.configure, waypoint.intents))
        if way == OWN:  # what it sends is received at full speed, too
            for server in _servers(change.before):
                _run(mover, server, UNTHROTTLE)
        moved = _held(mover, leaver)
        client.phase(phase)
        began = time.monotonic()
        passes = _by_freehold(mover, change, waypoint) if way == OURS else _by_swift(mover, change, leaver)
        seconds = time.monotonic() - began
        client.phase("between")
        mover.reach(change, waypoint, _ref(change, waypoint))  # the proof, also of what Swift did
        mib = moved["bytes"] / 2**20
        row = {
            "way": way,
            "phase": phase,
            "objects": moved["objects"],
            "mib": mib,
            "seconds": seconds,
            "passes": passes,
        }
        row["mib_per_s"] = mib / seconds
    mover.settle(change)
    return row


def _by_freehold(mover: Mover, change: Change, waypoint: Waypoint) -> int:
    pace = Pace(datetime.now(UTC))
    for number in range(1, PASSES_MOST):
        found = mover.bench.service.judge(change, _ref(change, waypoint), mover.answers(waypoint))
        print(f"round {number}: {pace.words(found, datetime.now(UTC))}")
        if found.done:
            return number
        if pace.idle_rounds:
            time.sleep(policies.BETWEEN_ROUNDS.total_seconds())
    raise SystemExit("Freehold did not come to an end")


def _by_swift(mover: Mover, change: Change, leaver: str) -> int:
    for number in range(1, PASSES_MOST):
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda name: _run(mover, name, OWN_PASS), _servers(change.before)))
        if not _held(mover, leaver)["objects"]:
            return number
    raise SystemExit("Swift's own mover did not come to an end")


def _servers(plan: Plan) -> list[str]:
    return [s.server for s in plan.servers if "storage" in s.roles]


def _held(mover: Mover, server: str) -> dict[str, Any]:
    return _run(mover, server, HELD)


def _run(mover: Mover, server: str, script: str, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    with mover.bench.session(server) as session:
        return session.run(script, given or {}, 900)


def _ref(change: Change, waypoint: Waypoint) -> WaypointRef:
    return WaypointRef(instance=change.instance, waypoint=waypoint.name)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--objects", type=int, default=2000)
    parser.add_argument("--object-bytes", type=int, default=1 << 20)
    parser.add_argument("--turns", type=int, default=3, help="how often each way empties a server")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    given = parser.parse_args()
    with contextlib.redirect_stdout(sys.stderr):
        found = measure(given.objects, given.object_bytes, given.turns)
    if given.json:
        print(json.dumps(found))
    else:
        for row in found["rows"]:
            print(
                f"{row['way']:32}{row['mib']:8.1f} MiB in {row['seconds']:6.1f} s, {row['mib_per_s']:6.1f} MiB/s, "
                f"{row['passes']} passes, customers' p99 {row['p99_ms']} ms, cpu {row['cpu']}"
            )
        print(f"{BUSY}: p99 {found['busy_p99_ms']} ms, cpu {found['busy_cpu']}")
        print(f"quiet p99 {found['quiet_p99_ms']} ms; wrong {found['wrong']}")
        print(f"ratios {found['ratios']}, median {found['ratio']}, goal {GOAL}")
    return 0 if found["ratio"] >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
