"""The same requests to the MariaDB and to Swift's own disk object server get the same answers."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import httpx
import pytest

from tests.services.mariadb_objects.conftest import CHUNK, Site, nasty, timestamp

pytestmark = pytest.mark.lab

# Requests count their seconds from here: a disk forgets tombstones that are older than a week.
EPOCH = int(time.time()) - 5000


def moment(seconds: float) -> str:
    return timestamp(EPOCH + seconds)


VARYING = {"date", "connection", "x-trans-id", "content-length", "transfer-encoding", "keep-alive"}


def shown(response: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    headers = {k: v for k, v in response.headers.items() if k not in VARYING}
    if "boundary=" in headers.get("content-type", ""):
        boundary = headers["content-type"].split("boundary=")[1]
        headers["content-type"] = headers["content-type"].replace(boundary, "BOUNDARY")
        return response.status_code, headers, response.content.replace(boundary.encode(), b"BOUNDARY")
    return response.status_code, headers, response.content


class Pair:
    """Both servers; every answer is compared."""

    def __init__(self, site: Site) -> None:
        self.nodes = [site.sql1, site.disk1]

    def __call__(
        self, method: str, name: str, at: float | None = None, body: object = None, **headers: str
    ) -> httpx.Response:
        when = None if at is None else EPOCH + at
        ours, theirs = [node.call(method, name, when, body, **headers) for node in self.nodes]
        assert shown(ours) == shown(theirs), (method, name, at, headers)
        return ours

    def same_hashes(self, partitions: range) -> None:
        ours, theirs = [[node.hashes(partition) for partition in partitions] for node in self.nodes]
        assert ours == theirs


@pytest.fixture
def pair(site: Site) -> Pair:
    site.clear()
    return Pair(site)


@pytest.mark.parametrize("size", [0, 1, 255, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 5 * CHUNK + 7])
def test_bodies_of_all_sizes(pair: Pair, size: int) -> None:
    body = nasty(size)
    assert pair("PUT", "sized", 1000, body, ETag="0" * 32).status_code == 422
    assert pair("GET", "sized").status_code == 404
    assert pair("PUT", "sized", 1001, body, X_Object_Meta_Colour="red").status_code == 201
    assert pair("GET", "sized").content == body
    pair("HEAD", "sized")
    for ranges in (
        "0-0",
        "1-",
        "-1",
        f"{CHUNK - 1}-{CHUNK}",
        f"{CHUNK}-",
        "5-10,20-30",
        f"0-1,{CHUNK}-{3 * CHUNK},-7",
        "9999999-",
    ):
        pair("GET", "sized", Range=f"bytes={ranges}")


def test_chunked_upload_of_unknown_length(pair: Pair) -> None:
    pieces = [nasty(n) for n in (1, CHUNK, 10, 2 * CHUNK + 3)]
    for node in pair.nodes:
        assert node.put("stream", EPOCH, iter(pieces)).status_code == 201
    assert pair("GET", "stream").content == b"".join(pieces)


@pytest.mark.parametrize("name", ["plain", "with%20space", "%C3%A9t%C3%A9", "quote'%22%5C", "a/b/c", "%F0%9F%8C%8D"])
def test_names_and_metadata_of_all_kinds(pair: Pair, name: str) -> None:
    pair("PUT", name, 1000, b"x", X_Object_Meta_Odd='it\'s \\ "odd" %s', X_Object_Sysmeta_A="kept")
    pair("HEAD", name)
    pair("POST", name, 1001, X_Object_Meta_New="caf\u00e9'")
    pair("GET", name)
    pair("DELETE", name, 1002)
    pair("GET", name)


def test_conditions(pair: Pair) -> None:
    etag = pair("PUT", "c", 1000, b"body").headers["etag"]
    assert pair("PUT", "c", 1001, b"x", If_None_Match="*").status_code == 412
    assert pair("GET", "c", If_None_Match=etag).status_code == 304
    assert pair("GET", "c", If_Match='"other"').status_code == 412
    pair("GET", "c", If_Modified_Since="Thu, 01 Jan 2026 00:00:00 GMT")
    pair("GET", "c")


def test_newest_timestamp_wins(pair: Pair) -> None:
    assert pair("PUT", "n", 1000, b"first").status_code == 201
    assert pair("PUT", "n", 999, b"older").status_code == 409
    assert pair("PUT", "n", 1000, b"same").status_code == 409
    assert pair("DELETE", "n", 999).status_code == 409
    assert pair("POST", "n", 1000).status_code == 409
    assert pair("GET", "n").content == b"first"
    assert pair("DELETE", "n", 1001).status_code == 204
    assert pair("DELETE", "n", 1002).status_code == 404
    assert pair("PUT", "n", 1001, b"late").status_code == 409
    assert pair("GET", "n").headers["x-backend-timestamp"] == moment(1002)
    assert pair("PUT", "n", 1003, b"again").status_code == 201
    pair.same_hashes(range(4))


def test_post_replaces_metadata_but_not_what_belongs_to_the_data(pair: Pair) -> None:
    pair("PUT", "p", 1000, b"x", Content_Type="a/a", X_Object_Meta_Old="1", X_Object_Sysmeta_S="1",
         Content_Encoding="gzip", X_Static_Large_Object="True", X_Object_Transient_Sysmeta_T="1")  # fmt: skip
    pair("POST", "p", 1010, X_Object_Meta_New="2")
    answer = pair("HEAD", "p")
    assert "x-object-meta-old" not in answer.headers
    assert answer.headers["x-object-sysmeta-s"] == "1"
    assert answer.headers["content-type"] == "a/a"
    pair("POST", "p", 1020, Content_Type="b/b", X_Object_Meta_New="3")
    assert pair("HEAD", "p").headers["content-type"] == "b/b"
    pair.same_hashes(range(4))


def test_content_types_have_timestamps_of_their_own(pair: Pair) -> None:
    pair("PUT", "t", 1000, b"x", Content_Type="a/a")
    pair("POST", "t", 1010, Content_Type="late/metadata", Content_Type_Timestamp=moment(1005), X_Object_Meta_A="1")
    pair("HEAD", "t")
    pair("POST", "t", 1008, Content_Type="newer/type", Content_Type_Timestamp=moment(1007), X_Object_Meta_A="0")
    answer = pair("HEAD", "t")
    assert (answer.headers["content-type"], answer.headers["x-object-meta-a"]) == ("newer/type", "1")
    pair("POST", "t", 1020, Content_Type="older/type", Content_Type_Timestamp=moment(1001), X_Object_Meta_A="2")
    answer = pair("HEAD", "t")
    assert (answer.headers["content-type"], answer.headers["x-object-meta-a"]) == ("newer/type", "2")
    pair.same_hashes(range(4))


def test_metadata_newer_than_newer_data_stays(pair: Pair) -> None:
    pair("PUT", "late", 1000, b"one", X_Object_Meta_A="put")
    pair("POST", "late", 1020, X_Object_Meta_A="post")
    assert pair("PUT", "late", 1010, b"two", X_Object_Meta_A="put2").status_code in (201, 409)
    pair("GET", "late")
    pair.same_hashes(range(4))


def test_expiry(pair: Pair) -> None:
    delete_at = int(time.time()) + 3
    pair("PUT", "e", 1000, b"x", X_Delete_At=str(delete_at + 3600))
    pair("POST", "e", 1001, X_Delete_At=str(delete_at))
    assert pair("GET", "e").status_code == 200
    time.sleep(3.1)
    assert pair("GET", "e").status_code == 404
    assert pair("GET", "e", X_Backend_Open_Expired="true").status_code == 200
    assert pair("DELETE", "e", 5004, X_If_Delete_At=str(delete_at + 1)).status_code == 412
    assert pair("DELETE", "e", 5005, X_If_Delete_At=str(delete_at)).status_code == 204
    assert pair("GET", "e", X_Backend_Open_Expired="true").status_code == 404


def test_post_without_expiry_ends_it(pair: Pair) -> None:
    pair("PUT", "e2", 1000, b"x", X_Delete_At=str(int(time.time()) + 3600))
    pair("POST", "e2", 1001, X_Object_Meta_A="no delete-at: kept for ever")
    assert "x-delete-at" not in pair("HEAD", "e2").headers


@pytest.mark.parametrize("seed", range(4))
def test_random_histories(pair: Pair, seed: int) -> None:
    """In any order of late and early requests, each answer and each replication hash is that of a disk."""
    chance = random.Random(seed)
    actions: list[Callable[[str, float], object]] = [
        lambda name, at: pair("PUT", name, at, chance_body(chance), X_Object_Meta_A=f"put-{at}",
                              Content_Type=f"put/{int(at)}"),
        lambda name, at: pair("POST", name, at, X_Object_Meta_A=f"post-{at}"),
        lambda name, at: pair("POST", name, at, X_Object_Meta_B=f"post-{at}", Content_Type=f"post/{int(at)}",
                              Content_Type_Timestamp=moment(at - chance.randrange(6))),
        lambda name, at: pair("DELETE", name, at),
    ]  # fmt: skip
    weights = [4, 3, 4, 1]
    for step in range(60):
        name = f"r{chance.randrange(4)}"
        chance.choices(actions, weights)[0](name, 1000 + step / 2 + chance.randrange(12))
        pair("GET", f"r{chance.randrange(4)}")
    pair.same_hashes(range(4))


def chance_body(chance: random.Random) -> bytes:
    return chance.randbytes(chance.choice([0, 10, CHUNK, 2 * CHUNK + 5]))
