"""The way from one plan to the next: states in which all data is whole and served, each next to the one before.

The rule behind every step of the rings: a rebalance moves at most one replica of a partition, what is new on a device
is proven to be there before anything old goes, and a device leaves when it is proven to be empty. (Growing and
shrinking by hand in this order lost nothing; a step taken after a failed proof made every read fail.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from freehold.models.plan import Plan, PlannedServer
from freehold.services.object_storage.blueprint import Blueprint, Role
from freehold.services.object_storage.layout import LOOPBACK, Layout, Member
from freehold.services.object_storage.rings import DRAINED, Generation, RingDevice

PREPARE = "prepare servers"
EMPTY = "empty returning servers"
JOIN = "copy data"
MEET = "introduce endpoint servers"
MOVE = "move endpoint"
RESIGN = "step back from endpoint"
SOFTWARE = "change software"
DRAIN = "drain"
SETTLE = "settle"


@dataclass(frozen=True)
class Stop:
    """A waypoint before it is put into words for servers."""

    name: str
    layout: Layout
    configure: tuple[str, ...]
    rolling: bool = False
    moves: bool = False
    """Whether data must have come to where the rings want it."""
    empties: tuple[str, ...] = ()
    """Servers that must hold nothing."""
    outside: tuple[Member, ...] = ()
    """Servers that take no part any more: they end what they do, stop taking anything, and must hold nothing."""
    closes: str = ""
    """The server whose connections with customers must have ended."""
    ends_on: tuple[str, ...] = ()
    """The storage servers that must have room for all of it..."""
    replicas: int = 0
    """...this many times."""

    @property
    def everybody(self) -> Layout:
        """The servers that take part, and those that have just left."""
        return replace(self.layout, members=(*self.layout.members, *self.outside))

    def idle_proxies(self) -> tuple[PlannedServer, ...]:
        """Proxies that others used and that nobody may be using any more."""
        everybody = self.everybody
        webs = (m.server for m in self.outside if Role.WEB in m.server.roles)
        return tuple(s for s in webs if everybody.proxy_address(s) != LOOPBACK)


def path(before: Plan, after: Plan, blueprint: Blueprint) -> tuple[Stop, ...]:
    return _Way(Layout.of(before, blueprint), after, dead=after.dead).stops()


def way_back(before: Plan, after: Plan, reached: str, blueprint: Blueprint) -> tuple[Stop, ...]:
    """What has left may have missed something, so it comes back empty-handed."""
    there = path(before, after, blueprint)
    now = next(stop.layout for stop in there if stop.name == reached)
    if reached == PREPARE:
        return ()
    everybody = {m.server.server: m for stop in there for m in stop.layout.members}
    return _Way(replace(now, members=tuple(everybody.values())), before, returning=True).stops()


class _Way:
    """From a layout to a plan. Each method adds the stops of one part of the way."""

    def __init__(self, now: Layout, to: Plan, *, returning: bool = False, dead: Sequence[str] = ()) -> None:
        self._to = to
        self._returning = returning
        self._dead = dead
        now = replace(now, members=tuple(m for m in now.members if m.server.server not in dead))
        tier = now.blueprint.tier(to.request)
        staying = {s.server for s in to.servers}
        self._target = tuple(Member(server, tier) for server in to.servers)
        self._leavers = tuple(m for m in now.members if m.server.server not in staying)
        self._before = {m.server.server for m in now.members}
        management = {**dict(now.plan.management), **dict(to.management)}
        plan = to.model_copy(update={"management": tuple(sorted(management.items()))})
        self._start = now
        # Who is not yet known to the others would hear nothing of them, and take the address for lost.
        known = {now.holder} if returning else self._before
        endpoints = [m.server.server for m in self._target if Role.ENDPOINT in m.server.roles]
        self._newcomers = tuple(server for server in endpoints if server not in known)
        members = (*self._leavers, *self._target)
        self._layout = replace(now, plan=plan, members=members, partner="", resigned=self._newcomers)
        if now.holder in dead:  # the others have taken the address over long ago
            self._layout = replace(self._layout, holder=self._new_holder())
        self._final = self._layout.generation(to.servers, tier.replicas)
        self._replicas = {m.tier.objects: m.tier.replicas for m in self._layout.members}
        self._stops: list[Stop] = []

    def stops(self) -> tuple[Stop, ...]:
        self._prepare()
        if self._returning:
            self._empty()
        self._join()
        self._move_endpoint()
        self._change_software()
        self._drain()
        self._settle()
        return tuple(self._stops)

    # -- parts of the way -------------------------------------------------------------------------------

    def _prepare(self) -> None:
        new = [m.server.server for m in self._target if self._returning or m.server.server not in self._before]
        holder = self._new_holder()
        if holder != self._layout.holder:
            self._layout = replace(self._layout, partner=holder)
        self._add(PREPARE, new)
        self._stops[0] = replace(
            self._stops[0], ends_on=self._servers_of(self._final.devices), replicas=self._final.replicas
        )

    def _empty(self) -> None:
        """A server that was away never serves what it missed: it is asked for nothing until it holds nothing."""
        last = self._layout.generations[-1]
        holding = {d.key for d in last.devices if d.weight > DRAINED}
        back = [d for d in self._final.devices if d.key not in holding]
        if back:
            others = tuple(d for d in last.devices if d.key not in {b.key for b in back})
            self._ring(Generation(last.replicas, (*others, *(replace(d, weight=DRAINED) for d in back))))
            self._add(EMPTY, self._everybody(), moves=True, empties=self._servers_of(back))

    def _join(self) -> None:
        """What died goes at once, also out of the rings: the others pass on what it had from their own replicas."""
        last = self._layout.generations[-1]
        lost = {d.key for d in last.devices if not self._servers_of([d])}
        holding = tuple(d for d in last.devices if d.weight > DRAINED and d.key not in lost)
        others = self._of_other_kind(holding)
        if others:
            self._ring(self._both_kinds(others))
        elif lost or {d.key for d in self._final.devices} - {d.key for d in holding}:
            keys = {d.key for d in self._final.devices}
            leaving = tuple(d for d in holding if d.key not in keys)
            self._ring(Generation(self._final.replicas, (*leaving, *self._final.devices)))
        else:
            return
        self._add(JOIN, self._everybody(), moves=True)

    def _move_endpoint(self) -> None:
        """Who leaves must not take the address for lost when the others do not speak to it any more."""
        old, new = self._layout.holder, self._new_holder()
        leaving = tuple(m.server.server for m in self._leavers if Role.ENDPOINT in m.server.roles)
        everybody = [s.server for s in self._layout.with_role(Role.ENDPOINT)]
        if self._newcomers and len(self._stops) == 1:  # data that move bring everybody's configuration before
            self._add(MEET, everybody)
        self._layout = replace(self._layout, resigned=leaving)
        if old != new:
            self._layout = replace(self._layout, holder=new, partner=old)
            self._add(MOVE, self._in_turn(old, new, everybody), rolling=True, closes=old)
        elif leaving:
            self._add(RESIGN, leaving)

    def _in_turn(self, old: str, new: str, everybody: Sequence[str]) -> list[str]:
        """The old holder gives the address up when another is ready to take it, and no third one is: that one would
        break the connections, as nobody hands it their packets."""
        others = [server for server in everybody if server not in (old, new)]
        leaving = [server for server in others if server in self._layout.resigned]
        return [new, *leaving, old, *(server for server in others if server not in leaving)]

    def _change_software(self) -> None:
        """Through the proxies one after the other; a copy of data before it has brought new rings already."""
        was = self._start.blueprint.tier(self._start.plan.request).software(self._start.plan.request)
        is_ = self._start.blueprint.tier(self._to.request).software(self._to.request)
        if was != is_ and not self._leavers:
            webs = [s.server for s in self._layout.with_role(Role.WEB) if s.server in self._before]
            self._add(SOFTWARE, webs, rolling=True)

    def _drain(self) -> None:
        last = self._layout.generations[-1]
        keys = {d.key for d in self._final.devices}
        leaving = [d for d in last.devices if d.key not in keys and d.weight > DRAINED]
        if not leaving:
            return
        if self._of_other_kind(tuple(leaving)):
            # All that they hold is proven to be on the new kind, so they may go at once.
            drained = tuple(replace(d, weight=DRAINED) for d in last.devices if d.key not in keys)
            self._ring(Generation(self._final.replicas, (*self._final.devices, *drained)))
            self._add(DRAIN, self._everybody(), moves=True, empties=self._servers_of(leaving))
            return
        for server in self._servers_of(leaving):  # one at a time: of no partition two replicas move at once
            own = self._layout.keys(self._layout.server(server))
            last = self._layout.generations[-1]
            devices = tuple(replace(d, weight=DRAINED) if d.key in own else d for d in last.devices)
            self._ring(Generation(last.replicas, devices))
            self._add(f"{DRAIN} {server}", self._everybody(), moves=True, empties=(server,))

    def _settle(self) -> None:
        """Only those that stay are configured; those that leave prove once more that they hold nothing, and stop."""
        before = self._layout.generations
        self._ring(self._final)
        self._layout = replace(self._layout, members=self._target, partner="", resigned=(), moving=False)
        staying = [m.server.server for m in self._target]
        storage = tuple(m.server.server for m in self._leavers if Role.STORAGE in m.server.roles)
        same = self._before == set(staying) and self._layout.generations == self._start.generations
        # What was ordered is told by the servers' own metrics.
        same = same and self._start.plan.request.capacity_gib == self._to.request.capacity_gib
        if self._leavers or self._dead or not same:
            moves = bool(self._dead) or self._layout.generations != before
            self._add(SETTLE, staying, moves=moves, empties=storage, outside=self._leavers)

    # -- helpers ----------------------------------------------------------------------------------------

    def _both_kinds(self, others: tuple[RingDevice, ...]) -> Generation:
        """Every partition has all its replicas on the one kind and all on the other: each kind is a region, and
        weights are in the proportion of replicas."""
        more = next(self._replicas[m.tier.objects] for m in self._layout.members if self._has(m, others))
        factor = self._final.replicas / more * _total(others) / _total(self._final.devices)
        scaled = tuple(replace(d, weight=d.weight * factor) for d in self._final.devices)
        return Generation(self._final.replicas + more, (*others, *scaled))

    def _of_other_kind(self, given: tuple[RingDevice, ...]) -> tuple[RingDevice, ...]:
        """The devices whose data must wholly be elsewhere before any of it goes: those of a technology that the target
        does not have, and single ones, which have no second replica to read while a partition moves."""
        keys, regions = {d.key for d in self._final.devices}, {d.region for d in self._final.devices}
        alone = self._final.replicas == 1
        return tuple(d for d in given if d.region not in regions or (alone and d.key not in keys))

    def _has(self, member: Member, given: Sequence[RingDevice]) -> bool:
        if Role.STORAGE not in member.server.roles:
            return False
        return not self._layout.keys(member.server).isdisjoint(d.key for d in given)

    def _servers_of(self, given: Sequence[RingDevice]) -> tuple[str, ...]:
        return tuple(m.server.server for m in self._layout.members if self._has(m, given))

    def _new_holder(self) -> str:
        candidates = [m.server.server for m in self._target if Role.ENDPOINT in m.server.roles]
        return self._layout.holder if self._layout.holder in candidates else candidates[0]

    def _everybody(self) -> list[str]:
        return [s.server for s in self._layout.servers]

    def _ring(self, generation: Generation) -> None:
        if generation != self._layout.generations[-1]:
            self._layout = replace(self._layout, generations=(*self._layout.generations, generation), moving=True)

    def _add(
        self, name: str, configure: Sequence[str], *, rolling: bool = False, moves: bool = False,
        empties: tuple[str, ...] = (), outside: tuple[Member, ...] = (), closes: str = "",
    ) -> None:  # fmt: skip
        self._stops.append(Stop(name, self._layout, tuple(configure), rolling, moves, empties, outside, closes))


def _total(given: Sequence[RingDevice]) -> float:
    return sum(d.weight for d in given)
