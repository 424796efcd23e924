"""What an instance takes of its site's VLANs, prefixes and addresses. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from freehold.errors import BadInput, CannotPlace
from freehold.models.hall import Customer, CustomerNetwork, Site
from freehold.models.network import QUARANTINE_VLAN
from freehold.models.plan import Endpoint, HoldKind, NetworkPurpose, Plan, PlannedNetwork
from freehold.models.request import InstanceRequest
from freehold.planning.snapshot import InventorySnapshot

BACK_PREFIX_LENGTH = 26
DOMAIN = "freehold.internal"


class Networking:
    """Free VLANs, prefixes and addresses of an instance's site; what the instance holds itself counts as free.

    What the plan `before` a change has stays as it is, and no address of its servers is given to another one.
    """

    def __init__(self, request: InstanceRequest, snapshot: InventorySnapshot, before: Plan | None = None) -> None:
        self._request = request
        self._snapshot = snapshot
        self._before = before
        self._own = {n.address.ip for s in before.servers for n in s.nics if n.address} if before else set()
        self.site = _site(request, snapshot)
        self.front = _front(request, snapshot)

    def networks(self, wanted: Collection[NetworkPurpose]) -> tuple[PlannedNetwork, ...]:
        """The customer's own network, and one for nobody else when it is wanted."""
        front = PlannedNetwork(purpose=NetworkPurpose.FRONT, vlan=self.front.vlan, prefix=self.front.prefix)
        there = self._before.networks if self._before else (front,)
        if NetworkPurpose.BACK not in wanted or any(n.purpose is NetworkPurpose.BACK for n in there):
            return there
        prefix = self._back_prefix()
        return *there, PlannedNetwork(purpose=NetworkPurpose.BACK, vlan=self._back_vlan(), prefix=prefix)

    def endpoint(self) -> Endpoint:
        """The lowest free address of the customer's range."""
        if self._before:
            return self._before.endpoint
        free = self._free_in_front()
        if not free:
            first, last = self.front.endpoints
            raise CannotPlace(
                f"{self._request.instance} needs 1 endpoint address; {self._request.customer} has none free at site "
                f"{self.site.name} between {first} and {last}. Free one or widen the customer's range."
            )
        return Endpoint(
            address=IPv4Interface((free[0], self.front.prefix.prefixlen)),
            name=f"{self._request.instance}.{self._request.customer}.{DOMAIN}",
        )

    def front_addresses(self, count: int, endpoint: Endpoint) -> list[IPv4Interface]:
        """Addresses for servers in the customer's network: the highest, because endpoints are the lowest."""
        free = [a for a in self._free_in_front() if a != endpoint.address.ip and a not in self._own]
        if count > len(free):
            first, last = self.front.endpoints
            raise CannotPlace(
                f"{self._request.instance} needs {_addresses(count)} for its servers, besides its endpoint's, in the "
                f"network of {self._request.customer}; site {self.site.name} has {len(free)} free between {first} and "
                f"{last}. Free {count - len(free)} more or widen the customer's range."
            )
        return [IPv4Interface((address, endpoint.address.network.prefixlen)) for address in free[::-1][:count]]

    def back_addresses(self, count: int, prefix: IPv4Network) -> list[IPv4Interface]:
        """Addresses for servers in the instance's own network, from the lowest."""
        free = [address for address in prefix.hosts() if address not in self._own]
        if count > len(free):
            more = " more" if self._own else ""
            raise CannotPlace(
                f"{self._request.instance} needs {count}{more} servers; a back network ({prefix}) has room for "
                f"{len(free)}{more}. Ask for a smaller instance."
            )
        return [IPv4Interface((address, prefix.prefixlen)) for address in free[:count]]

    def _free(self, kind: HoldKind, key: str) -> bool:
        return self._snapshot.holder(kind, key) in (None, self._request.instance)

    def _free_in_front(self) -> list[IPv4Address]:
        """The customer's range without what hosts and other instances have, rising."""
        first, last = self.front.endpoints
        taken = {d.address.ip for d in self._snapshot.devices if d.address and d.site == self.site.name}
        every = (IPv4Address(number) for number in range(int(first), int(last) + 1))
        return [a for a in every if a not in taken and self._free(HoldKind.ADDRESS, f"{self.site.name}/{a}")]

    def _back_vlan(self) -> int:
        first, last = self.site.vlans
        used = {n.vlan for c in self._snapshot.customers for n in c.networks if n.site == self.site.name}
        for device in self._snapshot.devices:
            if device.site == self.site.name:
                for port in device.ports:
                    used |= {port.initial.vlan or QUARANTINE_VLAN, *port.initial.trunk_vlans}
        used.add(QUARANTINE_VLAN)
        for vlan in range(first, last + 1):
            if vlan not in used and self._free(HoldKind.VLAN, f"{self.site.name}/{vlan}"):
                return vlan
        raise CannotPlace(
            f"{self._request.instance} needs 1 VLAN for its back network; site {self.site.name} has none free "
            f"between {first} and {last}. Free one or widen the site's range."
        )

    def _back_prefix(self) -> IPv4Network:
        pool = self.site.back_prefixes
        size = max(pool.prefixlen, BACK_PREFIX_LENGTH)
        # A server would not know which way to send what lies in two of its networks.
        avoided = (self.front.prefix, self._snapshot.management)
        for prefix in pool.subnets(new_prefix=size):
            if self._free(HoldKind.PREFIX, f"{self.site.name}/{prefix}") and not any(
                prefix.overlaps(other) for other in avoided
            ):
                return prefix
        raise CannotPlace(
            f"{self._request.instance} needs 1 back network (/{size}); site {self.site.name} has none free in {pool}. "
            "Free one or give the site a bigger pool."
        )


def _addresses(count: int) -> str:
    return "1 address" if count == 1 else f"{count} addresses"


def _site(request: InstanceRequest, snapshot: InventorySnapshot) -> Site:
    for site in snapshot.sites:
        if site.name == request.site:
            return site
    raise BadInput(f"site {request.site!r} is not known; it is one of: {_listed(s.name for s in snapshot.sites)}.")


def _front(request: InstanceRequest, snapshot: InventorySnapshot) -> CustomerNetwork:
    customer = _customer(request, snapshot)
    for network in customer.networks:
        if network.site == request.site:
            return network
    raise BadInput(
        f"site {request.site!r}: customer {customer.name} has no private network there; "
        f"it has one at: {_listed(n.site for n in customer.networks)}."
    )


def _customer(request: InstanceRequest, snapshot: InventorySnapshot) -> Customer:
    for customer in snapshot.customers:
        if customer.name == request.customer:
            return customer
    names = _listed(c.name for c in snapshot.customers)
    raise BadInput(f"customer {request.customer!r} is not known; it is one of: {names}.")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
