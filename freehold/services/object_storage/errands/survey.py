"""Run on a storage server: say what the customer keeps, bucket by bucket, and which features each of them uses.

Every server of a bucket is asked: with two replicas one may have missed what the other knows.
"""

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

from eventlet import GreenPool, Timeout
from swift.common.direct_client import direct_get_account, direct_head_container
from swift.common.exceptions import ClientException
from swift.common.ring import Ring

HIDDEN, SEGMENTS = "\0", "+segments"
HEADERS = {"X-Backend-Allow-Reserved-Names": "true"}
PAGE, AT_ONCE = 1000, 16


def main() -> None:
    given = json.load(sys.stdin)
    account, marks = given["account"], given["marks"]
    accounts, containers = (Ring("/etc/swift", ring_name=name) for name in ("account", "container"))
    parts: dict[str, dict[str, Any]] = {}
    names = sorted(listed(accounts, account))
    pool = GreenPool(AT_ONCE)
    for name, heads in pool.imap(lambda name: (name, head(containers, account, name)), names):
        if heads:
            add(parts, name, heads, marks)
    found = {feature for answer in head(accounts, account) for feature in used(answer, marks)}
    print(json.dumps({"buckets": parts, "account": sorted(found)}))


def listed(ring: Any, account: str) -> set[str]:
    """All containers that any of the account's servers knows, the hidden ones too."""

    def ask(part: int, node: dict[str, Any]) -> set[str]:
        return set(pages(node, part, account))

    return set().union(*everywhere(ring, ask, account))


def pages(node: dict[str, Any], part: int, account: str) -> Iterator[str]:
    marker = ""
    while True:
        _, rows = direct_get_account(node, part, account, marker=marker, limit=PAGE, headers=dict(HEADERS))
        yield from (row["name"] for row in rows)
        if len(rows) < PAGE:
            return
        marker = rows[-1]["name"]


def head(ring: Any, account: str, container: str = "") -> list[dict[str, str]]:
    def ask(part: int, node: dict[str, Any]) -> dict[str, str]:
        if container:
            found = direct_head_container(node, part, account, container, headers=dict(HEADERS))
        else:
            found, _ = direct_get_account(node, part, account, limit=1)
        return {key.lower(): value for key, value in found.items()}

    return everywhere(ring, ask, account, *([container] if container else []))


def everywhere(ring: Any, ask: Callable[[int, dict[str, Any]], Any], *name: str) -> list[Any]:
    """The answers of all its servers that have it; one that does not answer may be missing, but not all."""
    part, nodes = ring.get_nodes(*name)
    found, silent = [], []
    for node in nodes:
        try:
            found.append(ask(part, node))
        except ClientException as error:
            if error.http_status != 404:
                silent.append(f"{node['ip']}: {error.http_status}")
        except (Exception, Timeout) as error:
            silent.append(f"{node['ip']}: {error}")
    if len(silent) == len(nodes):
        raise SystemExit(f"no server answers: {'; '.join(silent)}")
    return found


def add(parts: dict[str, dict[str, Any]], name: str, heads: list[dict[str, str]], marks: dict[str, Any]) -> None:
    """A bucket, or what is kept beside it: older versions, parts of large uploads (it has but lists of them)."""
    kind, bucket = "", name.removesuffix(SEGMENTS)
    if name.startswith(HIDDEN):
        _, kind, bucket = bucket.split(HIDDEN, 2)
    objects = max(int(h["x-container-object-count"]) for h in heads)
    part = parts.setdefault(bucket, {"objects": 0, "bytes": 0, "features": []})
    part["bytes"] += max(int(h["x-container-bytes-used"]) for h in heads)
    if bucket == name:
        part["objects"] += objects
    features = {feature for answer in heads for feature in used(answer, marks)}
    if kind and objects:
        features |= {feature for feature, mark in marks.items() if kind in mark["hidden"]}
    part["features"] = sorted({*part["features"], *features})


def used(headers: dict[str, str], marks: dict[str, Any]) -> set[str]:
    return {
        feature
        for feature, mark in marks.items()
        if any(headers.get(name, "").lower() not in ("", "false") for name in mark["headers"])
    }


if __name__ == "__main__":
    main()
