"""Kills, restarts, overwrites under a reader, broken bodies: what is answered, what is left, what is cleaned up."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from tests.services.mariadb_objects.conftest import CHUNK, HTTP, LEASE_SECONDS, Site, eventually, nasty, timestamp

pytestmark = pytest.mark.lab

NOW = int(time.time()) - 5000
BIG = 400 * CHUNK  # more than all socket buffers between server and reader


@pytest.fixture(autouse=True)
def empty(site: Site) -> None:
    site.clear()


def slow_reader(site: Site, name: str) -> tuple[httpx.Response, Iterator[bytes]]:
    """A GET whose headers and first bytes have come, and no more until its iterator is asked."""
    response = HTTP.send(HTTP.build_request("GET", site.sql1.path(name)), stream=True)
    pieces = response.iter_raw(CHUNK)
    next(pieces)
    return response, pieces


@contextmanager
def full(site: Site) -> Iterator[None]:
    """Inside, a trigger says what a full disk would."""
    site.machine.sql(
        "CREATE TRIGGER full BEFORE INSERT ON chunks FOR EACH ROW SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1114"
    )
    try:
        yield
    finally:
        site.machine.sql("DROP TRIGGER full")


class Upload:
    """A PUT that has sent so many bytes of its body and waits.

    It does not ask that the connection end: a server that then ends it with bytes unread takes its answer back.
    """

    def __init__(self, site: Site, name: str, at: int, size: int, sent: int) -> None:
        self.body, self.sent = nasty(size), sent
        self.socket = socket.create_connection(("127.0.0.1", site.sql1.port), timeout=60)
        path = site.sql1.path(name).split("/", 3)[3]
        self.socket.sendall(
            f"PUT /{path} HTTP/1.1\r\nHost: x\r\nX-Timestamp: {timestamp(at)}\r\nContent-Type: a/b\r\n"
            f"Content-Length: {size}\r\n\r\n".encode()
            + self.body[:sent]
        )

    def trickle(self, size: int) -> None:
        self.socket.sendall(self.body[self.sent : self.sent + size])
        self.sent += size

    def finish(self) -> str:
        """The status line, or nothing if the server hung up."""
        try:
            self.socket.sendall(self.body[self.sent :])
            return self.socket.makefile("rb").readline().decode()
        except ConnectionError:
            return ""
        finally:
            self.socket.close()


@pytest.mark.parametrize("change", ["overwrite", "delete"])
def test_a_reader_gets_the_whole_body_it_opened(site: Site, change: str) -> None:
    body = nasty(BIG)
    site.sql1.put("read", NOW, body)
    response, pieces = slow_reader(site, "read")
    if change == "overwrite":
        assert site.sql1.put("read", NOW + 1, b"new").status_code == 201
        assert site.sql1.get("read").content == b"new"
    else:
        assert site.sql1.delete("read", NOW + 1).status_code == 204
    # Longer than a lease: it is the renewal that keeps the body.
    deadline = time.monotonic() + 2 * LEASE_SECONDS + 1
    while time.monotonic() < deadline:
        site.collect()
        time.sleep(0.5)
    rest = b"".join(pieces)
    response.close()
    assert body.endswith(rest)
    assert len(rest) >= BIG - 2 * CHUNK
    left = 1 if change == "overwrite" else 0
    eventually("the superseded body is collected once it was read", lambda: site.collect() and site.chunks() == left)
    assert site.bodies() == left


def test_nothing_is_left_of_overwritten_deleted_and_failed_uploads(site: Site) -> None:
    for at in range(5):
        assert site.sql1.put("o", NOW + at, nasty(3 * CHUNK)).status_code == 201
    assert site.sql1.put("wrong", NOW, nasty(3 * CHUNK), ETag="0" * 32).status_code == 422
    site.sql1.delete("o", NOW + 9)
    eventually("all is collected", lambda: site.collect()["leased"] == 0)
    assert (site.bodies(), site.chunks()) == (0, 0)


def test_object_server_killed_in_the_middle_of_an_upload(site: Site) -> None:
    site.sql1.put("k", NOW, b"before")
    upload = Upload(site, "k", NOW + 1, 20 * CHUNK, 10 * CHUNK)
    eventually("chunks arrive", lambda: site.chunks() > 5)
    assert site.sql1.process
    site.sql1.process.kill()
    assert not upload.finish().startswith("HTTP/1.1 2")
    site.sql1.restart()
    assert site.sql1.get("k").content == b"before"
    assert site.bodies() == 2
    time.sleep(LEASE_SECONDS)
    site.collect()
    assert (site.bodies(), site.chunks()) == (1, 1)
    assert site.sql1.get("k").content == b"before"


def test_a_slow_upload_is_not_collected(site: Site) -> None:
    upload = Upload(site, "slow", NOW, 6 * CHUNK, 3 * CHUNK)
    deadline = time.monotonic() + 2 * LEASE_SECONDS + 1
    while time.monotonic() < deadline:
        upload.trickle(100)
        site.collect()
        time.sleep(0.5)
    assert upload.finish().startswith("HTTP/1.1 201")
    assert site.sql1.get("slow").content == upload.body


def test_mariadb_killed_in_the_middle_of_an_upload(site: Site) -> None:
    site.sql1.put("m", NOW, b"before")
    upload = Upload(site, "m", NOW + 1, 20 * CHUNK, 10 * CHUNK)
    eventually("chunks arrive", lambda: site.chunks() > 5)
    site.mariadb.kill()
    assert upload.finish().split()[1] == "503"
    for response in (site.sql1.get("m"), site.sql1.put("m", NOW + 2, b"no"), site.sql1.delete("m", NOW + 2),
                     site.sql1.post("m", NOW + 2), site.sql1.head("m")):  # fmt: skip
        assert response.status_code == 503
    site.mariadb = site.machine.start_mariadb()
    # The first request of each kind works: no dead connection is handed out.
    assert site.sql1.get("m").content == b"before"
    assert site.sql1.put("m", NOW + 3, b"after").status_code == 201
    time.sleep(LEASE_SECONDS)
    eventually("orphans are collected", lambda: site.collect() and site.bodies() == 1)
    assert site.sql1.get("m").content == b"after"


def test_mariadb_killed_in_the_middle_of_a_read(site: Site) -> None:
    site.sql1.put("r", NOW, nasty(BIG))
    response, pieces = slow_reader(site, "r")
    site.mariadb.kill()
    with pytest.raises(httpx.RemoteProtocolError):
        b"".join(pieces)
    response.close()
    site.mariadb = site.machine.start_mariadb()
    assert site.sql1.get("r").content == nasty(BIG)


def test_killed_connections_are_not_noticed(site: Site) -> None:
    site.sql1.put("c", NOW, b"body")
    many = [threading.Thread(target=site.sql1.get, args=("c",)) for _ in range(10)]
    for thread in many:
        thread.start()
    for thread in many:
        thread.join()
    ids = [row[0] for row in site.machine.sql("SELECT id FROM information_schema.processlist WHERE user = 'swift'")]
    assert ids
    site.machine.sql(";".join(f"KILL {number}" for number in ids))
    assert [site.sql1.get("c").status_code for _ in range(len(ids) + 2)] == [200] * (len(ids) + 2)
    left = {row[0] for row in site.machine.sql("SELECT id FROM information_schema.processlist WHERE user = 'swift'")}
    assert not left & set(ids)


def test_a_slow_database_does_not_hold_up_who_does_not_need_it(site: Site) -> None:
    locker = threading.Thread(target=site.machine.sql, args=("LOCK TABLES chunks WRITE; SELECT SLEEP(4)",))
    locker.start()
    eventually("the lock is taken", lambda: ["User sleep"] in site.machine.sql(
        "SELECT state FROM information_schema.processlist"))  # fmt: skip
    answers: list[int] = []
    writer = threading.Thread(target=lambda: answers.append(site.sql1.put("w", NOW, nasty(5 * CHUNK)).status_code))
    writer.start()
    time.sleep(0.3)
    started = time.monotonic()
    assert site.sql1.head("other").status_code == 404
    assert time.monotonic() - started < 1
    assert not answers
    locker.join()
    writer.join()
    assert answers == [201]


def test_racing_writers_leave_the_newest(site: Site) -> None:
    """Without a row to lock, and with one: the newest of many at once stays, and no body is left over."""
    for name in ("race-1", "race-1", "race-2"):
        answers: list[int] = []
        newest = (site.bodies() + 1) * 20

        def write(at: int, name: str = name, answers: list[int] = answers) -> None:
            answers.append(site.sql1.put(name, NOW + at, nasty(2 * CHUNK + at)).status_code)

        writers = [threading.Thread(target=write, args=(newest - age,)) for age in range(12)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert set(answers) <= {201, 409}
        assert len(site.sql1.get(name).content) == 2 * CHUNK + newest
    eventually("all other bodies are collected", lambda: site.collect()["leased"] == 0)
    assert (site.bodies(), site.chunks()) == (2, 6)


def test_broken_bodies_are_found_and_put_aside(site: Site) -> None:
    broken = {
        "flipped": "UPDATE chunks SET data = CONCAT('!', SUBSTRING(data, 2)) WHERE seq = 1 AND body = {body}",
        "missing": "DELETE FROM chunks WHERE seq = 1 AND body = {body}",
        "short": "UPDATE chunks SET data = LEFT(data, 10) WHERE seq = 1 AND body = {body}",
        "metadata": "UPDATE objects SET metadata = LEFT(metadata, 20) WHERE body = {body}",
        "size": "UPDATE objects SET size = size + 1 WHERE body = {body}",
    }
    for name in [*broken, "whole", "empty"]:
        site.sql1.put(name, NOW, b"" if name == "empty" else nasty(2 * CHUNK + 5))
    for name, damage in broken.items():
        [[body]] = site.machine.sql(f"SELECT body FROM objects WHERE hash = '{site.sql1.hash(name)}'")
        site.machine.sql(damage.format(body=body))
    found = site.machine.command("auditor", "sql1", check=False)
    assert found["exit"] == 1
    assert {row["hash"] for row in found["quarantined"]} == {site.sql1.hash(name) for name in broken}  # type: ignore[attr-defined]
    assert {site.sql1.get(name).status_code for name in broken} == {404}
    assert {site.sql1.get(name).status_code for name in ("whole", "empty")} == {200}
    # A good copy may come back from elsewhere, with the same timestamp.
    assert site.sql1.put("flipped", NOW, nasty(2 * CHUNK + 5)).status_code == 201
    again = site.machine.command("auditor", "sql1")
    assert (again["objects"], again["quarantined"], again["exit"]) == (3, [], 0)
    # Kept for an operator to look at, until it is old.
    assert site.collect()["quarantined"] == 0
    site.machine.sql("UPDATE quarantined SET quarantined_at = quarantined_at - INTERVAL 31 DAY")
    assert site.collect()["quarantined"] == len(broken)
    eventually("bodies of old quarantine go", lambda: site.collect() and site.bodies() == 2)


def test_a_read_that_meets_a_broken_body_is_the_last(site: Site) -> None:
    site.sql1.put("b", NOW, nasty(3 * CHUNK))
    site.machine.sql("UPDATE chunks SET data = REPEAT('x', LENGTH(data)) WHERE seq = 2")
    with pytest.raises(httpx.RemoteProtocolError):
        site.sql1.get("b")
    assert site.sql1.get("b").status_code == 404
    site.sql1.put("d", NOW, nasty(3 * CHUNK))
    site.machine.sql("DELETE FROM chunks WHERE seq = 1 AND body = (SELECT body FROM objects WHERE size > 0)")
    with pytest.raises(httpx.RemoteProtocolError):
        site.sql1.get("d")
    assert site.sql1.get("d").status_code == 404


def test_an_object_that_was_replaced_meanwhile_is_not_put_aside(site: Site) -> None:
    site.sql1.put("q", NOW, nasty(2 * CHUNK))
    site.machine.write("/tmp/aside.py", f"""
import logging, sys
from freehold_mariadb_objects import database, objects
db = database.Database({{}}, logging)
key = objects.Key("sql1", 0, "{site.sql1.hash("q")}")
row = db.run(objects.get, key)
print("read", flush=True)
sys.stdin.readline()
print(db.run(objects.quarantine, key, row.body, row.data_ts, "was found broken"))
""")  # fmt: skip
    auditor = site.machine.talk("python3 /tmp/aside.py", user="swift")
    assert auditor.stdout
    assert auditor.stdout.readline() == b"read\n"
    site.sql1.put("q", NOW + 1, b"replaced")
    assert auditor.communicate(b"\n", timeout=30)[0] == b"False\n"
    assert site.sql1.get("q").content == b"replaced"


def test_tombstones_are_reclaimed_after_their_age_and_not_before(site: Site) -> None:
    week = 7 * 24 * 3600
    site.sql1.delete("old", time.time() - week - 60)
    site.sql1.delete("young", time.time() - week + 60)
    site.sql1.put("data", time.time() - week - 60, b"data is not a tombstone")
    assert site.collect()["tombstones"] == 1
    assert set(site.manifest()) == {site.sql1.hash("young"), site.sql1.hash("data")}
    assert site.sql1.get("young").headers["x-backend-timestamp"]


def test_old_tombstones_are_not_offered_to_anybody(site: Site) -> None:
    site.sql1.delete("old", time.time() - 8 * 24 * 3600)
    assert site.sql1.hashes(site.sql1.partition("old")) == {}


def test_schema_is_made_once_by_many_at_once(site: Site) -> None:
    site.machine.write("/tmp/many.py", """
import logging, threading
from freehold_mariadb_objects import database
many = [database.Database({}, logging) for _ in range(8)]
barrier, ends = threading.Barrier(len(many)), []
def connect(one):
    barrier.wait()
    one._connect()
    ends.append("made")
threads = [threading.Thread(target=connect, args=(one,)) for one in many]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(ends))
""")  # fmt: skip
    for _ in range(3):
        site.machine.sql("DROP DATABASE swift_objects; CREATE DATABASE swift_objects", "mysql")
        assert site.machine.run("python3 /tmp/many.py", user="swift").stdout == "8\n"
        assert site.machine.sql("SELECT version FROM schema_version") == [["1"]]
    assert site.machine.command("schema", "sql1")["version"] == 1
    assert site.sql1.put("s", NOW, b"x").status_code == 201


def test_a_newer_schema_is_refused(site: Site) -> None:
    site.machine.sql("INSERT INTO schema_version VALUES (99, NOW())")
    try:
        refused = site.machine.command("schema", "sql1", check=False)
        assert refused["exit"] == 1
        assert "schema version 99, this program knows up to 1" in str(refused["error"])
    finally:
        site.machine.sql("DELETE FROM schema_version WHERE version = 99")


def test_a_packet_too_small_for_a_chunk_is_refused_in_words(site: Site) -> None:
    site.machine.sql("SET GLOBAL max_allowed_packet = 1048576")
    try:
        refused = site.machine.command("schema", "sql1", check=False)
        assert refused["exit"] == 1
        assert "max_allowed_packet is 1048576 bytes, but mariadb_chunk_size 65536 needs" in str(refused["error"])
    finally:
        site.machine.sql("SET GLOBAL max_allowed_packet = 16777216")


def test_chunks_go_as_prepared_statements_and_without_them_all_the_same(site: Site) -> None:
    def executed() -> int:
        return int(site.machine.sql("SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'")[0][1])

    before = executed()
    site.sql1.put("prepared", NOW, nasty(4 * CHUNK))
    assert executed() == before + 4
    site.machine.write("/tmp/text.py", f"""
import logging, sys
from freehold_mariadb_objects import bodies, database, prepared
prepared.available = lambda connection: False
db = database.Database({{}}, logging)
content = bytes(range(256)) * 1000 + b"'" * 9 + b"\\\\'\\\\"
body = db.run(bodies.create_owned, {CHUNK}, content)
assert db.run(bodies.chunk, body, 0) == content
print("same")
""")  # fmt: skip
    assert site.machine.run("python3 /tmp/text.py", user="swift").stdout == "same\n"
    assert executed() == before + 4


def test_a_full_database_is_507(site: Site) -> None:
    site.sql1.put("f", NOW, b"x")
    with full(site):
        assert site.sql1.put("g", NOW, b"small").status_code == 507
        assert site.sql1.put("g", NOW, nasty(5 * CHUNK)).status_code == 507
    assert site.sql1.put("g", NOW, nasty(5 * CHUNK)).status_code == 201


def test_uploads_that_fail_at_once_are_all_answered(site: Site) -> None:
    with full(site), ThreadPoolExecutor(16) as uploads:
        answers = uploads.map(lambda n: site.sql1.put(f"g{n}", NOW, nasty(3 * CHUNK)).status_code, range(320))
        assert set(answers) == {507}
