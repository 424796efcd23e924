"""What the errands' answers prove: that all lies where the rings want it, and that who leaves holds nothing.

Every object that was there when the round began must be, in that version or a newer one, on each device that its
partition belongs on. Whoever leaves must hold no object, no tombstone, no database and no late update.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import Field

from freehold.errors import ProofFailed
from freehold.models.base import Model
from freehold.models.change import Round
from freehold.models.units import GIB
from freehold.services.object_storage.blueprint import Role
from freehold.services.object_storage.errands import simulated
from freehold.services.object_storage.layout import Layout
from freehold.services.object_storage.rings import Key, Ring
from freehold.services.object_storage.way import MOVE, PREPARE, Stop

CLOCKS_S = 2.0
"""Servers' clocks may differ by this much."""
FILL_MOST = 0.9
"""Share of the free room that may be planned with."""

FULL = 0.012
"""Share of a disk below which servers take no more: the templates reserve 1 %."""

Answers = Mapping[str, Mapping[str, Any]]


class Version(NamedTuple):
    """An object as a device has it: time of its data (or of its deletion), time of its metadata, bytes."""

    data: str = ""
    meta: str = ""
    size: int = 0


class Holdings(Model):
    """What one device holds."""

    objects: dict[str, Version] = Field(default_factory=dict)
    databases: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    pending: int = 0
    strays: tuple[str, ...] = ()
    free: int = 0
    total: int = 0

    @property
    def full(self) -> bool:
        return self.free < FULL * self.total

    @property
    def things(self) -> int:
        return len(self.objects) + sum(map(len, self.databases.values())) + self.pending + len(self.strays)

    @property
    def size(self) -> int:
        return sum(version.size for version in self.objects.values())


class Seen(Model):
    """A storage server's answer."""

    began: float
    failed: tuple[str, ...] = ()
    devices: dict[str, Holdings]
    stopped: bool = False
    late: int = 0
    """Updates that a listing has refused although its copy must be there."""
    under_way: int = 0
    """Requests that it serves although it is to stop."""

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Seen:
        """A server may be more than storage, and say more."""
        return cls.model_validate({name: what for name, what in answer.items() if name in cls.model_fields})


def judge(stop: Stop, answers: Answers) -> Round:
    """What one round of a waypoint's errands came to."""
    if found := simulated(answers.values()):
        return found
    if stop.name == MOVE:
        return _moved(stop, answers)
    proxies = {s.server: int(answers[s.server]["open"]) for s in stop.idle_proxies()}
    storage = {s.server for s in stop.everybody.with_role(Role.STORAGE)}
    seen = {name: Seen.of(answer) for name, answer in answers.items() if name in storage}
    if stop.name == PREPARE:
        return _room(stop, seen)
    return _settled(stop, seen, proxies)


def writes_finished(answers: Answers) -> Round:
    """Whether nothing is written any more, and everything that was is listed."""
    if found := simulated(answers.values()):
        return found
    serving = {name: n for name, answer in answers.items() if (n := int(answer.get("serving", 0)))}
    failed = [f"{name}: {words}" for name, answer in answers.items() for words in answer.get("failed", ())]
    words = [f"{name} still serves requests that began before, in {n} processes" for name, n in serving.items()]
    return Round(done=not (serving or failed), words="; ".join([*words, *failed[:3]]) or "nothing is written any more")


def _moved(stop: Stop, answers: Answers) -> Round:
    new, old = answers[stop.layout.holder], answers[stop.closes]
    if not new["announced"] or old["announced"]:
        who = stop.closes if old["announced"] else "nobody"
        return Round(done=False, words=f"{who} announces the endpoint yet, not {stop.layout.holder}")
    if count := old["open"]:
        return Round(done=False, words=f"{count} connections that began at {stop.closes} are still open")
    return Round(done=True, words=f"{stop.layout.holder} has the endpoint; no connection to {stop.closes} is left")


def _room(stop: Stop, seen: Mapping[str, Seen]) -> Round:
    """What there is. Raises ProofFailed when it does not fit on the servers that the way ends on."""
    sizes: dict[str, int] = {}
    for holdings in (h for server in seen.values() for h in server.devices.values()):
        for hash_, version in holdings.objects.items():
            sizes[hash_] = max(version.size, sizes.get(hash_, 0))
    total, replicas = sum(sizes.values()), stop.replicas
    there = FILL_MOST * sum(h.free + h.size for s in stop.ends_on for h in seen[s].devices.values())
    if total * replicas > there:
        raise ProofFailed(
            f"{replicas} replicas of {total / GIB:.2f} GiB do not fit on {', '.join(stop.ends_on)}, where there is "
            f"room for {there / GIB:.2f} GiB; ask for more or bigger storage servers"
        )
    return Round(
        done=True,
        words=f"{len(sizes)} objects, {total / GIB:.2f} GiB; there is room for {there / GIB:.2f} GiB",
        total_objects=len(sizes),
        total_bytes=total,
        observed={"holds": _holds(seen)},
    )


def _holds(seen: Mapping[str, Seen]) -> dict[str, dict[str, int]]:
    """How much lies on each server."""
    return {
        server: {
            "objects": sum(len(d.objects) for d in answer.devices.values()),
            "bytes": sum(d.size for d in answer.devices.values()),
        }
        for server, answer in seen.items()
    }


@dataclass
class _Count:
    objects: int = 0
    bytes: int = 0
    wrong: int = 0
    wrong_bytes: int = 0
    full: set[Key] = field(default_factory=set)
    """Disks that lack something and have no room for it."""


def _settled(stop: Stop, seen: Mapping[str, Seen], proxies: Mapping[str, int]) -> Round:
    held = dict(_by_device(stop.everybody, seen))
    began = min((s.began for s in seen.values()), default=0.0) - CLOCKS_S
    count = _misplaced_objects(stop.layout.rings["object"], held, began) if stop.moves else _Count()
    databases = _misplaced_databases(stop.layout, held) if stop.moves else []
    late = sum(answer.late for server, answer in seen.items() if server not in stop.empties) if stop.moves else 0
    if count.full:
        raise ProofFailed(_no_room(stop, count))
    left = {server: sum(d.things for d in seen[server].devices.values()) for server in stop.empties}
    outside = {member.server.server for member in stop.outside}
    running = [s for s in stop.empties if s in outside and not left[s] and not seen[s].stopped]
    failed = [f"{server}: {words}" for server, answer in seen.items() for words in answer.failed]
    words = [
        *([f"{count.wrong} of {count.objects} objects are not on all of their devices yet"] if count.wrong else []),
        *([f"{len(databases)} listings are not on all of their servers yet"] if databases else []),
        *([f"updates of listings have not arrived yet: {late}"] if late else []),
        *[f"{server} still holds {_said(seen[server], things)}" for server, things in left.items() if things],
        *[f"{server} has {n} open connections from the endpoint yet" for server, n in proxies.items() if n],
        *[f"{server} has not stopped yet{_serves(seen[server])}" for server in running],
        *failed[:3],
    ]
    return Round(
        done=not (count.wrong or databases or late or any(left.values()) or any(proxies.values()) or running),
        words="; ".join(words) or _all_well(stop, count),
        left_objects=max(count.wrong, sum(left.values())),
        left_bytes=count.wrong_bytes + sum(d.size for s in stop.empties for d in seen[s].devices.values()),
        total_objects=count.objects,
        total_bytes=count.bytes,
        observed={
            "objects": count.objects,
            "bytes": count.bytes,
            "misplaced": count.wrong,
            "left": left,
            "holds": _holds(seen),
            "began": began,
            "replicas": stop.layout.generations[-1].replicas,
        },
    )


def _no_room(stop: Stop, count: _Count) -> str:
    servers = stop.layout.with_role(Role.STORAGE)
    full = [f"{s.server} {key[2]}" for s in servers for key in sorted(stop.layout.keys(s) & count.full)]
    return (
        f"{', '.join(full)} {'is' if len(full) == 1 else 'are'} full; {count.wrong} of {count.objects} objects are not "
        "on all of their devices yet. Nothing is lost; make room there, then retry, or abort and ask for more servers."
    )


def _said(seen: Seen, things: int) -> str:
    """Files that Swift does not know are not moved by it: people must look at them."""
    strays = [f"{device}/{path}" for device, holdings in seen.devices.items() for path in holdings.strays]
    return f"{things} thing{'s' if things > 1 else ''}{f', of which Swift does not know {strays[0]}' if strays else ''}"


def _serves(seen: Seen) -> str:
    return f": it serves {seen.under_way} request{'s' if seen.under_way > 1 else ''}" if seen.under_way else ""


def _all_well(stop: Stop, count: _Count) -> str:
    words = [f"all {count.objects} objects ({count.bytes / GIB:.2f} GiB) are on all of their devices"]
    if stop.empties:
        words.append(f"{', '.join(stop.empties)} hold{'s' if len(stop.empties) == 1 else ''} nothing")
    return "; ".join(words if stop.moves else words[1:]) or "as it should be"


def _by_device(layout: Layout, seen: Mapping[str, Seen]) -> Iterator[tuple[Key, Holdings]]:
    for server in layout.with_role(Role.STORAGE):
        if server.server in seen:
            for name, holdings in seen[server.server].devices.items():
                yield layout.key(server, name), holdings


def _misplaced_objects(ring: Ring, held: Mapping[Key, Holdings], began: float) -> _Count:
    newest: dict[str, Version] = {}
    for holdings in held.values():
        for hash_, version in holdings.objects.items():
            if float(version.data or version.meta) < began:
                newest[hash_] = _newer(newest.get(hash_, version), version)
    count = _Count(objects=len(newest), bytes=sum(v.size for v in newest.values()))
    for hash_, version in newest.items():
        if lacking := [key for key in ring.devices_of(hash_) if not _has(held.get(key), hash_, version)]:
            count.wrong += 1
            count.wrong_bytes += version.size
            count.full |= {key for key in lacking if key in held and held[key].full}
    return count


def _newer(one: Version, other: Version) -> Version:
    return max(one, other, key=lambda v: v.data)._replace(meta=max(one.meta, other.meta))


def _has(holdings: Holdings | None, hash_: str, wanted: Version) -> bool:
    there = holdings.objects.get(hash_, Version()) if holdings else Version()
    return there.data >= wanted.data and (there.meta >= wanted.meta or there.data > wanted.meta)


def _misplaced_databases(layout: Layout, held: Mapping[Key, Holdings]) -> list[str]:
    """Databases that one of their servers lacks."""
    found = []
    for kind in ("account", "container"):
        ring, port = layout.rings[kind], getattr(layout.blueprint.ports, kind)
        where = {(key[0], port, key[2]): set(h.databases.get(kind, ())) for key, h in held.items()}
        every = set().union(*where.values()) if where else set()
        found += [
            hash_ for hash_ in sorted(every) if not all(hash_ in where.get(k, set()) for k in ring.devices_of(hash_))
        ]
    return found
