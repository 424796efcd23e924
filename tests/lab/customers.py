"""Hardware of two customers in one hall: planned, proven, opened and closed as procedures do it."""

from __future__ import annotations

from activities.cabling import CablingActivities
from freehold.devices.switches.changes import apply_changes
from freehold.models.network import PortChange, PortConfig, PortMode, SwitchChange
from freehold.models.plan import NetworkPurpose, Plan
from freehold.models.request import InstanceRequest
from freehold.models.work import PlanRef
from freehold.planning.provision import plan_instance
from freehold.services.base import ServerNeed
from tests.lab.hands import Hands

SWITCHES = ("leaf1", "leaf2")
HOSTS = {"acme": "acme-host", "beta": "beta-host"}


class TwoCustomers:
    """Hardware of two customers at work in one hall, as two procedures treat it."""

    def __init__(self, hands: Hands, servers: int) -> None:
        self.hands, self._servers = hands, servers
        self.plans = [self._plan(customer) for customer in HOSTS]
        self.owner = {s.server: plan.request.customer for plan in self.plans for s in plan.servers}
        self._cabling = CablingActivities(hands.devices, hands.inventory)

    def _plan(self, customer: str) -> Plan:
        name = f"{customer}-1"
        request = InstanceRequest(instance=name, customer=customer, site="north", requested_by="olivia")
        networks = (NetworkPurpose.FRONT, NetworkPurpose.BACK)
        need = ServerNeed(roles=("all",), count=self._servers, networks=networks, disks=1)
        plan = plan_instance(request, (need,), self.hands.inventory.snapshot())
        self.hands.inventory.reserve(plan)
        return plan

    def everybody(self) -> dict[str, str]:
        """Every machine of a customer, their hosts included, and whose it is."""
        return self.owner | {host: customer for customer, host in HOSTS.items()}

    def vlans(self) -> list[int]:
        return sorted({network.vlan for plan in self.plans for network in plan.networks})

    def open(self) -> None:
        """Only after the cables are proven, as in a procedure."""
        for plan in self.plans:
            self._cabling.verify_cables(PlanRef(instance=plan.instance))
        for switch in SWITCHES:
            self.apply(switch, *(plan.switch_change(switch) for plan in self.plans))

    def close(self) -> None:
        for switch in SWITCHES:
            self.apply(switch, *(plan.switch_undo(switch) for plan in self.plans))

    def apply(self, switch: str, *changes: SwitchChange) -> None:
        with self.hands.devices.switch(self.hands.inventory.access(switch)) as session:
            for result in apply_changes(session, changes):
                assert result.ok, result.error

    def mix(self) -> None:
        """A port of one customer is opened into the other's network: shows that a meeting would be noticed."""
        acme, beta = self.plans
        front, nic = acme.network(NetworkPurpose.FRONT), beta.servers[0].nics[0]
        assert front is not None
        config = PortConfig(mode=PortMode.ACCESS, vlan=front.vlan)
        for switch in SWITCHES:
            self.apply(switch, acme.switch_change(switch))
        wrong = SwitchChange(switch=nic.switch, ports=(PortChange(port=nic.switch_port, config=config),))
        self.apply(nic.switch, wrong)

    def ways(self) -> list[tuple[str, str]]:
        """Sender and receiver, inside one customer's networks: what must arrive when ports are open."""
        found = []
        for plan in self.plans:
            for nic in ("front", "back"):
                cards = [f"{s.server}/{n.nic}" for s in plan.servers for n in s.nics if n.network == nic]
                cards += [f"{HOSTS[plan.request.customer]}/eth1"] if nic == "front" else []
                found += [(one, two) for one in cards for two in cards if one != two]
        return found
