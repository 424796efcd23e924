"""Which servers: all that fit, then the ones that spread best, without starving the needs that come after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from freehold.models.hall import Device, DeviceKind
from freehold.models.network import PortMode
from freehold.models.plan import HoldKind, NetworkPurpose, Plan, PlannedServer
from freehold.planning.snapshot import InventorySnapshot, natural
from freehold.services.base import ServerNeed

NIC_OF = {NetworkPurpose.FRONT: 0, NetworkPurpose.BACK: 1}
"""By convention a server's first NIC is cabled for the front network, its second for the back network."""

Kind = tuple[bool, ...]
"""For each need, whether a server fits it."""

Cell = tuple[str, tuple[str, ...], Kind, int]

FITS = ""
HELD = "held by other instances"
OWN = "in the instance itself"
SMALL = "too small"
OUT_OF_USE = "out of use"
STORED = "in the storeroom"
UNCABLED = "mounted but not cabled for it"
UNREACHED = "on switches that no trunk joins with the others"


def verdict(need: ServerNeed, server: Device, snapshot: InventorySnapshot, instance: str) -> str:
    """`FITS`, or why this server cannot be used for this need."""
    if snapshot.holder(HoldKind.SERVER, server.name) not in (None, instance):
        return HELD
    if server.out_of_use:
        return OUT_OF_USE
    disks = sum(disk.size_gib >= need.disk_gib for disk in server.disks)
    if disks < need.disks or server.memory_gib < need.memory_gib or server.cores < need.cores:
        return SMALL
    if any(NIC_OF[purpose] >= len(server.nics) for purpose in need.networks):
        return SMALL
    if server.position is None:
        return STORED
    return next((v for purpose in need.networks if (v := _nic_verdict(server, purpose, snapshot, instance))), FITS)


def _nic_verdict(server: Device, purpose: NetworkPurpose, snapshot: InventorySnapshot, instance: str) -> str:
    end = snapshot.switch_port(server.name, server.nics[NIC_OF[purpose]].name)
    if end is None or snapshot.initial[end].mode is not PortMode.CLOSED:
        return UNCABLED
    if snapshot.device[end[0]].site != server.site:
        return UNREACHED
    if snapshot.device[end[0]].why_unused(end[1]):
        return OUT_OF_USE
    return FITS if snapshot.holder(HoldKind.PORT, "/".join(end)) in (None, instance) else HELD


@dataclass(frozen=True)
class Field:
    """The servers of a site and, for each need, the verdict on each server."""

    needs: tuple[ServerNeed, ...]
    verdicts: dict[str, tuple[str, ...]]
    servers: dict[str, Device]
    disabled: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Servers that the instance keeps for itself, and their roles: for those they come before all others."""

    @classmethod
    def of(
        cls,
        needs: tuple[ServerNeed, ...],
        snapshot: InventorySnapshot,
        site: str,
        instance: str,
        own: Collection[str] = (),
        disabled: Mapping[str, tuple[str, ...]] | None = None,
    ) -> Field:
        """`own` servers work for the instance already: they are not there to be chosen."""
        servers = {d.name: d for d in snapshot.devices if d.site == site and d.kind is DeviceKind.SERVER}
        verdicts = {
            name: tuple(OWN if name in own else verdict(need, server, snapshot, instance) for need in needs)
            for name, server in servers.items()
        }
        return cls(needs, verdicts, servers, disabled or {})

    def reachable(self, snapshot: InventorySnapshot, fabrics: dict[NetworkPurpose, set[str]]) -> Field:
        """The same field, where a NIC must also lead to a switch of its network's fabric."""

        def reach(server: Device, need: ServerNeed, before: str) -> str:
            if before != FITS:
                return before
            for purpose in need.networks:
                end = snapshot.switch_port(server.name, server.nics[NIC_OF[purpose]].name)
                if end is None or end[0] not in fabrics[purpose]:
                    return UNREACHED
            return FITS

        verdicts = {
            name: tuple(reach(self.servers[name], need, v) for need, v in zip(self.needs, row, strict=True))
            for name, row in self.verdicts.items()
        }
        return Field(self.needs, verdicts, self.servers, self.disabled)

    def shortage(self) -> tuple[int, ...]:
        """Needs (their indices) that cannot all be met together, or () when every need can be met."""
        return _shortage(self._kinds(), [need.count for need in self.needs])

    def missing(self) -> int:
        """How many servers those needs are short of."""
        group = self.shortage()
        there = sum(any(row[i] == FITS for i in group) for row in self.verdicts.values())
        return sum(self.needs[i].count for i in group) - there

    def choose(
        self, alike: Sequence[Sequence[Device]] = (), others: Sequence[Sequence[Device]] = ()
    ) -> list[tuple[Device, ...]] | None:
        """Servers for every need, or None when there are not enough.

        Each need may have servers that are `alike`, and the instance as a whole some `others`.

        Each need in turn takes the server that shares least with those it has (rack, then power feed),
        then with the instance's others, that is powered, and that is no bigger than it must be; but never
        one whose loss would starve a later need.
        """
        kinds = self._kinds()
        left = [need.count for need in self.needs]
        if _shortage(kinds, left):
            return None
        chosen: list[tuple[Device, ...]] = []
        taken: set[str] = set()
        racks = Counter(_rack(server) for servers in others for server in servers)
        for index, need in enumerate(self.needs):
            cells = self._cells(index, taken)
            spread = _Spread(racks)
            for server in alike[index] if alike else ():
                spread.share_with(server)
            for _ in range(need.count):
                left[index] -= 1
                safe = {kind: not _shortage(kinds - Counter([kind]), left) for kind in kinds}
                spread.take_best({cell: servers for cell, servers in cells.items() if servers and safe[cell[2]]})
                kinds -= Counter([self._kind(spread.servers[-1].name)])
            taken |= {server.name for server in spread.servers}
            chosen.append(tuple(spread.servers))
        return chosen

    def another(self, used: Collection[str], alike: Iterable[Device], others: Iterable[Device]) -> Device | None:
        """One more server for the first need, none of the `used`, that shares least with those `alike` it."""
        spread = _Spread(Counter(_rack(server) for server in others))
        for server in alike:
            spread.share_with(server)
        cells = self._cells(0, set(used))
        if not cells:
            return None
        spread.take_best(cells)
        return spread.servers[-1]

    def _cells(self, index: int, taken: set[str]) -> dict[Cell, list[Device]]:
        """The servers that fit a need, by rack, power feeds, kind and whose; in each cell the smallest is last."""
        cells: dict[Cell, list[Device]] = {}
        fitting = (self.servers[name] for name, row in self.verdicts.items() if row[index] == FITS)
        for server in sorted((s for s in fitting if s.name not in taken), key=_fit, reverse=True):
            cell = _rack(server), server.feeds, self._kind(server.name), self._turn(index, server.name)
            cells.setdefault(cell, []).append(server)
        return cells

    def _turn(self, index: int, name: str) -> int:
        """Whose turn comes first: disabled servers that did this before, others, disabled ones that did not."""
        if name not in self.disabled:
            return 1
        return 0 if self.disabled[name] == self.needs[index].roles else 2

    def _kind(self, name: str) -> Kind:
        return tuple(v == FITS for v in self.verdicts[name])

    def _kinds(self) -> Counter[Kind]:
        return Counter(self._kind(name) for name, row in self.verdicts.items() if FITS in row)


class _Spread:
    """The servers of one need as they are chosen, and the racks of the whole instance."""

    def __init__(self, racks_of_all: Counter[str]) -> None:
        self.servers: list[Device] = []
        self._racks: Counter[str] = Counter()
        self._feeds: Counter[str] = Counter()
        self._racks_of_all = racks_of_all

    def take_best(self, cells: dict[Cell, list[Device]]) -> None:
        """Move the server that shares least out of its cell. In a cell all share the same: the last stands for it."""
        best = min(cells, key=lambda cell: (cell[3], *self._shared(cell), _fit(cells[cell][-1])))
        server = cells[best].pop()
        self.servers.append(server)
        self.share_with(server)
        self._racks_of_all[_rack(server)] += 1

    def share_with(self, server: Device) -> None:
        """Count what this server uses as used by the need."""
        self._racks[_rack(server)] += 1
        self._feeds.update(server.feeds)

    def _shared(self, cell: Cell) -> tuple[int, int, int]:
        rack, feeds, *_ = cell
        return self._racks[rack], max((self._feeds[f] for f in feeds), default=0), self._racks_of_all[rack]


def staying(
    before: Plan | None, needs: tuple[ServerNeed, ...], snapshot: InventorySnapshot
) -> tuple[tuple[PlannedServer, ...], ...]:
    """For each need the servers of the plan before that go on doing what it asks for.

    When there are more than it takes, those stay that spread best.
    """
    left = {s.server: s for s in before.servers} if before else {}
    racks: Counter[str] = Counter()
    found = []
    for need in needs:
        able = [snapshot.device[s.server] for s in left.values() if _still_fits(need, s, snapshot.device[s.server])]
        while len(able) > need.count:
            able.remove(_who_shares_most(able, racks))
        racks.update(map(_rack, able))
        kept = [left.pop(d.name).model_copy(update={"powered": d.powered}) for d in able]
        found.append(tuple(kept))
    return tuple(found)


def _who_shares_most(servers: Sequence[Device], racks_of_others: Counter[str]) -> Device:
    racks = Counter(map(_rack, servers))
    feeds = Counter(feed for server in servers for feed in server.feeds)

    def shared(server: Device) -> tuple[object, ...]:
        rack = _rack(server)
        return racks[rack], max((feeds[f] for f in server.feeds), default=0), racks_of_others[rack], _fit(server)

    return max(servers, key=shared)


def _still_fits(need: ServerNeed, planned: PlannedServer, server: Device) -> bool:
    sizes = {disk.name: disk.size_gib for disk in server.disks}
    return (
        planned.roles == need.roles
        and {nic.network for nic in planned.nics} == set(need.networks)
        and not server.out_of_use
        and server.position is not None
        and server.memory_gib >= need.memory_gib
        and server.cores >= need.cores
        and sum(sizes.get(disk, 0) >= need.disk_gib for disk in planned.disks) >= need.disks
    )


def _shortage(kinds: Counter[Kind], counts: Sequence[int]) -> tuple[int, ...]:
    """By Hall's theorem it is enough to compare, for every set of needs, the servers that are wanted with
    those that fit at least one of them."""
    for size in range(1, len(counts) + 1):
        for group in combinations(range(len(counts)), size):
            there = sum(n for kind, n in kinds.items() if any(kind[i] for i in group))
            if there < sum(counts[i] for i in group):
                return group
    return ()


def racks_used(servers: Iterable[Device]) -> int:
    return len({_rack(server) for server in servers})


def _rack(server: Device) -> str:
    assert server.position is not None  # a server in the storeroom never fits
    return server.position.rack


def _fit(server: Device) -> tuple[object, ...]:
    size = sum(disk.size_gib for disk in server.disks)
    return (not server.powered, len(server.disks), size, server.memory_gib, server.cores, natural(server.name))
