"""Objects move between MariaDB and disks by SSYNC with all that they are; what has not arrived is not forgotten."""

from __future__ import annotations

import json
import threading
import time

import pytest

from tests.services.mariadb_objects.conftest import CHUNK, Node, Site, eventually, nasty, timestamp
from tests.services.mariadb_objects.machine import free_port

pytestmark = pytest.mark.lab

NOW = int(time.time()) - 5000
SHOWN = ("x-backend-timestamp", "x-backend-data-timestamp", "x-object-meta-a", "x-object-sysmeta-s", "content-type",
         "content-length", "etag", "x-delete-at", "content-encoding")  # fmt: skip

ODD = "%C3%A9t%C3%A9%20%22%27"


@pytest.fixture(autouse=True)
def empty(site: Site) -> None:
    site.clear()


def fill(node: Node) -> list[str]:
    """An object or tombstone in each state that there is."""
    node.put("plain", NOW, nasty(3 * CHUNK + 1), X_Object_Meta_A="1", X_Object_Sysmeta_S="2")
    node.put("empty", NOW + 0.5)
    node.put("posted", NOW, b"x", X_Object_Meta_A="put", Content_Type="put/type")
    node.post("posted", NOW + 1.25, X_Object_Meta_A="post")
    node.put("typed", NOW, b"x", Content_Type="put/type")
    node.post("typed", NOW + 2, X_Object_Meta_A="post", Content_Type="post/type")
    node.post(
        "typed", NOW + 3, X_Object_Meta_A="later", Content_Type="older/type", Content_Type_Timestamp=timestamp(NOW + 1)
    )
    node.put("deleted", NOW, b"x")
    node.delete("deleted", NOW + 4)
    node.delete("never there", NOW + 5)
    node.put("expires", NOW, b"x", X_Delete_At=str(NOW + 10**8))
    node.put("expired", NOW, b"x", X_Delete_At=str(int(time.time()) + 1))
    node.put(ODD, NOW, b"x", Content_Encoding="gzip", X_Object_Meta_A="caf\u00e9")
    return [
        "plain",
        "empty",
        "posted",
        "typed",
        "deleted",
        "never there",
        "expires",
        "expired",
        "%C3%A9t%C3%A9%20%22%27",
    ]


def state(node: Node, names: list[str]) -> dict[str, object]:
    found = {}
    for name in names:
        answer = node.call("GET", name, X_Backend_Open_Expired="true")
        found[name] = (answer.status_code, {key: answer.headers.get(key) for key in SHOWN},
                       answer.content if answer.status_code == 200 else None)  # fmt: skip
    found["hashes"] = [node.hashes(partition) for partition in range(4)]
    return found


def replicate(site: Site, *, check: bool = True) -> dict[str, object]:
    return site.machine.command("replicator", "sql1", check=check)


def disk_files(site: Site) -> list[str]:
    files = "-name '*.data' -o -name '*.ts' -o -name '*.meta'"
    return site.machine.run(f"find /srv/disk1/disk1/objects {files}", check=False).stdout.split()


@pytest.mark.parametrize("conf", ["sql1", "receiving"])
def test_who_serves_and_receives_at_two_ports_is_one_and_keeps_what_it_alone_has(site: Site, conf: str) -> None:
    names = fill(site.sql1)
    before, machine, port = state(site.sql1, names), site.machine, free_port()
    machine.write(
        "/etc/swift/receiving.conf",
        machine.read("/etc/swift/sql1.conf").replace(f"bind_port = {site.sql1.port}", f"bind_port = {port}"),
    )
    receiving = machine.restart_object_server("receiving", port)
    try:
        machine.ring([("sql1", site.sql1.port, 1)], replication_port=port)
        assert machine.command("replicator", conf)["forgotten"] == 0
        assert state(site.sql1, names) == before
    finally:
        receiving.kill()


def test_to_a_disk_and_off_the_server(site: Site) -> None:
    names = fill(site.sql1)
    before = state(site.sql1, names)
    site.ring(sql1=1, disk1=1)
    first = replicate(site)
    assert (first["failures"], first["forgotten"], first["sent"], first["rows"]) == (0, 0, len(names), len(names))
    assert state(site.disk1, names) == before
    assert replicate(site)["sent"] == 0
    # Weight 0: the server is a handoff now.
    site.ring(sql1=0, disk1=1)
    second = replicate(site)
    assert (second["failures"], second["forgotten"], second["rows"]) == (0, len(names), 0)
    assert site.manifest() == {}
    assert state(site.disk1, names) == before


def test_from_a_disk_and_off_the_disk(site: Site) -> None:
    names = fill(site.disk1)
    before = state(site.disk1, names)
    site.ring(sql1=1, disk1=1)
    site.machine.stock_replicator("disk1")
    assert state(site.sql1, names) == before
    listing = site.manifest()
    typed = listing[site.sql1.hash("typed")]
    assert (typed["data_timestamp"], typed["meta_timestamp"], typed["ctype_timestamp"], typed["tombstone"]) == (
        timestamp(NOW), timestamp(NOW + 3), timestamp(NOW + 2), False)  # fmt: skip
    tombstone = listing[site.sql1.hash("deleted")]
    assert (tombstone["data_timestamp"], tombstone["tombstone"], tombstone["size"]) == (timestamp(NOW + 4), True, 0)
    site.ring(sql1=1, disk1=0)
    for _ in range(3):
        site.machine.stock_replicator("disk1")
    assert disk_files(site) == []
    assert state(site.sql1, names) == before


def test_newer_on_the_other_side_stays(site: Site) -> None:
    for node, at in ((site.sql1, 0), (site.disk1, 1)):
        node.put("data", NOW + at, str(at).encode())
        node.put("meta", NOW, b"x")
        node.post("meta", NOW + 10 + at, X_Object_Meta_A=str(at))
    site.sql1.delete("gone", NOW)
    site.disk1.put("gone", NOW + 1, b"born again")
    site.sql1.delete("dead", NOW + 1)
    site.disk1.put("dead", NOW, b"x")
    site.ring(sql1=1, disk1=1)
    replicate(site)
    site.machine.stock_replicator("disk1")
    for node in (site.sql1, site.disk1):
        assert node.get("data").content == b"1"
        assert node.head("meta").headers["x-object-meta-a"] == "1"
        assert node.get("gone").content == b"born again"
        assert node.get("dead").status_code == 404
    assert state(site.sql1, ["data", "meta", "gone", "dead"]) == state(site.disk1, ["data", "meta", "gone", "dead"])


def test_only_a_newer_post_is_sent_as_a_post(site: Site) -> None:
    site.ring(sql1=1, disk1=1)
    site.sql1.put("p", NOW, nasty(3 * CHUNK))
    replicate(site)
    site.sql1.post("p", NOW + 1, X_Object_Meta_A="new")
    assert replicate(site)["sent"] == 1
    assert [path.rsplit(".", 1)[1] for path in sorted(disk_files(site))] == ["data", "meta"]
    assert site.disk1.head("p").headers["x-object-meta-a"] == "new"


def test_nothing_is_forgotten_while_a_primary_does_not_answer(site: Site) -> None:
    names = fill(site.sql1)
    site.ring(sql1=0, disk1=1)
    assert site.disk1.process
    site.disk1.process.kill()
    try:
        failed = replicate(site, check=False)
        assert failed["exit"] == 1
        assert (failed["forgotten"], failed["rows"]) == (0, len(names))
        assert int(str(failed["failures"])) > 0
    finally:
        site.disk1.restart()
    assert replicate(site)["rows"] == 0


def test_what_the_other_side_refuses_is_not_forgotten(site: Site) -> None:
    """A body that broke here does not arrive there, and is neither forgotten nor passed on."""
    site.sql1.put("good", NOW, b"x")
    site.sql1.put("bad", NOW, nasty(3 * CHUNK))
    site.machine.sql("UPDATE chunks SET data = REPEAT('x', LENGTH(data)) WHERE seq = 1")
    site.ring(sql1=0, disk1=1)
    failed = replicate(site, check=False)
    assert failed["exit"] == 1
    assert site.disk1.get("bad").status_code == 404
    # Reading it put it aside; the rest goes on.
    assert site.machine.sql("SELECT COUNT(*) FROM quarantined") == [["1"]]
    again = replicate(site)
    assert (again["rows"], again["failures"]) == (0, 0)
    assert site.disk1.get("good").status_code == 200


def test_old_tombstones_do_not_keep_a_server_from_being_empty(site: Site) -> None:
    site.sql1.delete("old", time.time() - 8 * 24 * 3600)
    site.ring(sql1=0, disk1=1)
    assert replicate(site)["rows"] == 0
    assert site.manifest() == {}


def test_daemon_makes_passes_and_outlives_a_mariadb_that_is_away(site: Site) -> None:
    site.ring(sql1=1, disk1=1)
    site.machine.run("printf '[mariadb-replicator]\\ninterval = 0.5\\n' >> /etc/swift/sql1.conf")
    daemon = site.machine.start("daemon", "python3 -m freehold_mariadb_objects replicator /etc/swift/sql1.conf daemon")
    passes = lambda: [json.loads(line) for line in daemon.log.splitlines() if line.startswith("{")]  # noqa: E731
    try:
        eventually("passes are made", lambda: len(passes()) > 1)
        site.mariadb.kill()
        eventually("a pass fails", lambda: passes()[-1]["failures"] == 1)
        site.mariadb = site.machine.start_mariadb()
        site.sql1.put("later", NOW, b"x")
        eventually("it arrives", lambda: site.disk1.get("later").status_code == 200)
        # The pass that brought it may have begun while MariaDB was still away.
        eventually("a whole pass is made", lambda: passes()[-1]["failures"] == 0)
    finally:
        daemon.kill()


def test_mariadb_down_is_a_failure_in_words(site: Site) -> None:
    site.sql1.put("x", NOW, b"x")
    site.mariadb.kill()
    try:
        failed = replicate(site, check=False)
        assert failed["exit"] == 1
        assert "MariaDB failed" in str(failed["error"])
    finally:
        site.mariadb = site.machine.start_mariadb()


def test_forget_compares_data_and_metadata(site: Site) -> None:
    """What changes between the proof and the forgetting stays."""
    site.sql1.put("f", NOW, b"x")
    site.sql1.post("f", NOW + 1, X_Object_Meta_A="known", Content_Type="a/b")
    site.machine.write("/tmp/forget.py", f"""
import logging
from swift.common.utils import Timestamp
from freehold_mariadb_objects import database, objects
db = database.Database({{}}, logging)
key = objects.Key("sql1", 0, "{site.sql1.hash('f')}")
seen = db.run(objects.get, key).timestamps()
data, meta, ctype = seen["ts_data"], seen["ts_meta"], seen["ts_ctype"]
for other in (
    {{"ts_data": data}},
    {{"ts_data": data, "ts_meta": Timestamp(float(meta) - 1), "ts_ctype": ctype}},
    {{"ts_data": data, "ts_meta": meta}},
    {{"ts_data": Timestamp(float(data) - 1), "ts_meta": meta, "ts_ctype": ctype}},
):
    assert not db.run(objects.forget, key, other), other
assert db.run(objects.get, key)
assert db.run(objects.forget, key, seen)
assert db.run(objects.get, key) is None
assert not db.run(objects.forget, key, seen)
print("done")
""")  # fmt: skip
    assert site.machine.run("python3 /tmp/forget.py", user="swift").stdout == "done\n"


def test_writes_while_objects_leave_are_kept(site: Site) -> None:
    """A handoff that still takes writes: each pass forgets what it proved, and nothing that came after."""
    site.ring(sql1=0, disk1=1)
    for number in range(40):
        site.sql1.put(f"w{number}", NOW, nasty(number * 100))
    stop = threading.Event()
    latest: dict[str, int] = {}

    def write() -> None:
        at = 1
        while not stop.is_set():
            name = f"w{at % 40}"
            if site.sql1.put(name, NOW + at, f"{at}".encode()).status_code == 201:
                latest[name] = at
            at += 1

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(4):
        replicate(site, check=False)
    stop.set()
    writer.join()
    while replicate(site)["rows"]:
        pass
    for name, at in latest.items():
        assert site.disk1.get(name).content == f"{at}".encode()
    assert len(latest) > 10
