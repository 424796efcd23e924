"""Twenty faults drawn at random, several at a time: found, named and cured, and two customers' frames never meet.

Two customers get hardware at the same time. Its ports are closed until its cables are proven, opened as the plan says,
and closed again before anybody pulls a cable. `FREEHOLD_TEST_SEED=N` draws the same faults again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from activities.cabling import CablingActivities
from freehold.devices.switches.changes import apply_changes
from freehold.lab.testing import small_lab
from freehold.models.network import PortChange, PortConfig, PortMode, SwitchChange
from freehold.models.plan import NetworkPurpose, Plan
from freehold.models.request import InstanceRequest
from freehold.models.work import PlanRef
from freehold.planning.provision import plan_instance
from freehold.services.base import ServerNeed
from tests.lab.frames import Frames
from tests.lab.hands import Hands, forget_soon
from tests.lab.patterns import PATTERNS, Bench
from tests.lab.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

SWITCHES, SERVERS = ("leaf1", "leaf2"), ("srv-1", "srv-2", "srv-3", "srv-4")
HOSTS = {"acme": "acme-host", "beta": "beta-host"}
NEED = ServerNeed(roles=("all",), count=2, networks=(NetworkPurpose.FRONT, NetworkPurpose.BACK), disks=1)
EACH = 2
FREE = [f"{switch}/swp{n}" for switch in SWITCHES for n in range(9, 23)]


class TwoCustomers:
    """Hardware of two customers at work in one hall, as two procedures treat it."""

    def __init__(self, hands: Hands) -> None:
        self.hands = hands
        self.plans = [self._plan(customer) for customer in HOSTS]
        self.owner = {s.server: plan.request.customer for plan in self.plans for s in plan.servers}
        self._cabling = CablingActivities(hands.devices, hands.inventory)

    def _plan(self, customer: str) -> Plan:
        name = f"{customer}-1"
        request = InstanceRequest(instance=name, customer=customer, site="north", requested_by="olivia")
        plan = plan_instance(request, (NEED,), self.hands.inventory.snapshot())
        self.hands.inventory.reserve(plan)
        return plan

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


@pytest.fixture
def customers(tmp_path: Path) -> Iterator[TwoCustomers]:
    on = [*SWITCHES, *SERVERS]
    with small_lab("flrandom", "198.18.112.0/24", [*on, *HOSTS.values()]) as lab:
        forget_soon(lab, *SWITCHES)
        hands = Hands(lab, tmp_path, on)
        yield TwoCustomers(hands)
        hands.inventory.close()


def test_twenty_random_faults_are_found_named_and_cured_and_customers_never_meet(customers: TwoCustomers) -> None:
    seed = int(os.environ.get("FREEHOLD_TEST_SEED") or Random().randrange(100_000))
    print(f"FREEHOLD_TEST_SEED={seed}")
    rng, hands = Random(seed), customers.hands
    todo = [*PATTERNS] * EACH
    everybody = customers.owner | {host: customer for customer, host in HOSTS.items()}
    with Frames(hands.lab, everybody, customers.vlans()) as frames:
        hands.finds({})
        while todo:
            bench = Bench(hands, rng, customers.owner, list(FREE), died=frames.stop, revived=frames.start)
            with bench.faults:
                expected = bench.spoil(todo)
                found = hands.finds(expected, bench.silent)
                rings = {frozenset((f.cable.label, *f.swapped_with)) for f in found if f.swapped_with}
                assert rings == set(bench.rings)
            hands.follow(found)
            hands.finds({}, [])
            assert hands.as_planned()
            customers.open()
            frames.arrive(customers.ways())
            frames.listen()
            assert not frames.met
            customers.close()
        frames.listen()
        assert not frames.met
        customers.mix()
        until(lambda: frames.met, 10)
        customers.close()
