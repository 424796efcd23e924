"""A plan of the lab's hall, and a small lab in which it is brought about."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from freehold import authority
from freehold.devices.base import Server
from freehold.devices.real import RealDevices
from freehold.inventory.handover import load_host_keys
from freehold.lab.lab import Lab
from freehold.lab.testing import HALL, small_lab
from freehold.models.access import Access
from freehold.models.hall import Hall, load_hall
from freehold.models.plan import Plan
from freehold.models.request import InstanceRequest
from freehold.planning.provision import plan_instance
from freehold.planning.snapshot import InventorySnapshot
from freehold.secrets import FileSecrets
from freehold.services import service
from freehold.services.base import Probe, SecretKind, Service

SERVER, CUSTOMER_HOST, STRANGER_HOST = "srv-1", "acme-host", "beta-host"


def request(**changes: Any) -> InstanceRequest:
    given = {"instance": "acme-1", "customer": "acme", "site": "north", "requested_by": "eve"}
    return InstanceRequest.model_validate(given | changes)


def make_plan(hall: Hall) -> Plan:
    asked = request()
    return plan_instance(asked, service(asked.service).needs(asked), InventorySnapshot.of(hall))


@pytest.fixture(scope="session")
def storage() -> Service:
    return service("object-storage")


@pytest.fixture(scope="session")
def plan() -> Plan:
    return make_plan(load_hall(HALL))


@dataclass
class Bench:
    """One server, a host of the customer and one of somebody else, and the plan that concerns them."""

    lab: Lab
    plan: Plan
    service: Service
    secrets: FileSecrets
    devices: RealDevices
    keys: dict[str, str]

    def access(self, name: str) -> Access:
        device = self.lab.hall.device(name)
        return Access(
            device=name,
            address=device.management.address,
            user=device.management.user,
            host_key=self.keys[name],
            credential="devices/ssh-key",
            dialect=device.dialect,
        )

    def session(self, name: str) -> AbstractContextManager[Server]:
        return self.devices.server(self.access(name))

    def observe(self, probe: Probe) -> dict[str, Any]:
        with self.session(probe.host) as host:
            return host.run(probe.script, probe.given, probe.timeout_s)

    def customer_probe(self) -> Probe:
        return self.service.customer_probe(self.plan, CUSTOMER_HOST, self.address(CUSTOMER_HOST))

    def stranger_probe(self, host: str = STRANGER_HOST) -> Probe:
        return self.service.stranger_probe(self.plan, host, self.address(host))

    def address(self, host: str) -> str:
        address = self.lab.hall.device(host).address
        assert address
        return str(address.ip)

    def open_ports(self) -> None:
        for name in self.plan.switches():
            with self.devices.switch(self.access(name)) as switch:
                switch.apply(switch.render(switch.read(), [self.plan.switch_change(name)]))
                switch.save()

    def make_secrets(self) -> None:
        make = {
            SecretKind.PASSWORD: authority.password,
            SecretKind.HEX: authority.hex_key,
            SecretKind.CERTIFICATE: lambda: authority.issue(
                self.secrets, names=[self.plan.endpoint.name], addresses=[str(self.plan.endpoint.address.ip)]
            ),
        }
        for need in self.service.secrets(self.plan):
            self.secrets.ensure(need.name, make[need.kind])


@contextmanager
def storage_bench(
    name: str, management: str, folder: Path, machines: Sequence[str] = (SERVER, CUSTOMER_HOST, STRANGER_HOST)
) -> Iterator[Bench]:
    """The bench in a lab of its own, with all secrets made and all ports open; nothing is installed yet."""
    with small_lab(name, management, ["leaf1", "leaf2", *machines]) as lab:
        secrets = FileSecrets(folder / "secrets")
        secrets.put("devices/ssh-key", (lab.handover / "id_ed25519").read_text())
        keys = load_host_keys(lab.handover / "known_hosts", lab.hall)
        bench = Bench(lab, make_plan(lab.hall), service("object-storage"), secrets, RealDevices(secrets), keys)
        bench.make_secrets()
        bench.open_ports()
        yield bench


@pytest.fixture(scope="package")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    if os.geteuid() != 0:
        pytest.skip("only root can boot machines")
    with storage_bench("service", "198.18.48.0/25", tmp_path_factory.mktemp("service")) as bench:
        yield bench
