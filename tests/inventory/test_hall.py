"""Bringing a hall in and reading it back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from freehold.errors import BadInput, Conflict, NotFound
from freehold.inventory import DEVICE_KEY, ImportCounts, Inventory, load_hall
from freehold.models.hall import Hall
from freehold.models.plan import HoldKind
from freehold.planning.provision import plan_instance
from freehold.planning.snapshot import InventorySnapshot
from tests.halls import COMPACT, request


class KeptSecrets(dict[str, str]):
    """The one method that an import needs of a secret store."""

    def put(self, name: str, value: str) -> None:
        self[name] = value


def by_name(hall: Hall) -> dict[str, Any]:
    return {
        field: sorted(map(repr, value)) if isinstance(value := getattr(hall, field), tuple) else value
        for field in Hall.model_fields
    }


def without(hall: Hall, *devices: str) -> Hall:
    return hall.model_copy(
        update={
            "devices": tuple(d for d in hall.devices if d.name not in devices),
            "cables": tuple(c for c in hall.cables if not {c.a.device, c.b.device} & set(devices)),
        }
    )


def test_a_hall_is_read_back_as_it_was_brought_in(inventory: Inventory, hall: Hall) -> None:
    assert by_name(inventory.hall()) == by_name(hall)
    wanted, holds = InventorySnapshot.of(hall), {}
    assert plan_instance(request(), COMPACT, inventory.snapshot()) == plan_instance(request(), COMPACT, wanted)
    assert inventory.snapshot().holds == holds


def test_importing_again_changes_only_what_differs(inventory: Inventory, hall: Hall) -> None:
    before = inventory.fingerprint()
    things = len(hall.sites) + len(hall.racks) + len(hall.devices) + len(hall.cables) + len(hall.customers)
    assert inventory.import_hall(hall, {}) == ImportCounts(unchanged=things)
    assert inventory.fingerprint() == before
    assert inventory.access("leaf1").host_key == "ssh-ed25519 KEYSW-leaf1", "a host key is kept until there is another"
    smaller = without(hall, "r2-s3")
    counts = inventory.import_hall(smaller, {"leaf1": "ssh-ed25519 NEW"})
    assert counts == ImportCounts(changed=1, removed=3, unchanged=things - 4)
    assert inventory.access("leaf1").host_key == "ssh-ed25519 NEW"
    assert by_name(inventory.hall()) == by_name(smaller)


def test_what_an_instance_holds_cannot_be_taken_away(inventory: Inventory, hall: Hall) -> None:
    plan = plan_instance(request(), COMPACT, inventory.snapshot())
    inventory.reserve(plan)
    before = inventory.fingerprint()
    with pytest.raises(Conflict, match=r"server r1-s1 is not in hall test, but acme-1 holds it; decommission acme-1"):
        inventory.import_hall(without(hall, "r1-s1"), {})
    cables = tuple(c for c in hall.cables if c.label != plan.servers[0].nics[0].cable.label)
    with pytest.raises(Conflict, match=r"cable c2 leads elsewhere in hall test, but acme-1 uses it"):
        inventory.import_hall(hall.model_copy(update={"cables": cables}), {})
    with pytest.raises(Conflict, match=r"customer acme owns acme-1, but is not in hall test"):
        inventory.import_hall(hall.model_copy(update={"customers": hall.customers[1:]}), {})
    (vlan,) = [hold.key for hold, _ in inventory.holds("acme-1") if hold.kind is HoldKind.VLAN]
    site, number = vlan.split("/")
    network = hall.customers[1].networks[0].model_copy(update={"site": site, "vlan": int(number)})
    customers = (hall.customers[0], hall.customers[1].model_copy(update={"networks": (network,)}))
    with pytest.raises(Conflict, match=rf"VLAN {number} at {site} is that of customer .*, but acme-1 has it"):
        inventory.import_hall(hall.model_copy(update={"customers": customers}), {})
    assert inventory.fingerprint() == before
    inventory.release("acme-1")
    inventory.import_hall(without(hall, "r1-s1"), {})


def test_access_names_the_credential_and_never_holds_it(inventory: Inventory) -> None:
    access = inventory.access("leaf1")
    assert (str(access.address), access.dialect, access.credential) == ("198.18.0.10", "ovs", DEVICE_KEY)
    with pytest.raises(NotFound, match="device 'leaf9' is not in the inventory"):
        inventory.access("leaf9")


def test_hosts_are_the_customers_own_machines(inventory: Inventory) -> None:
    assert [h.name for h in inventory.hosts()] == ["acme-host", "globex-host"]
    assert [h.name for h in inventory.hosts("acme")] == ["acme-host"]


def test_an_empty_inventory_says_what_to_do(url: str) -> None:
    inventory = Inventory(url)
    with pytest.raises(NotFound, match="freehold inventory import PATH"):
        inventory.snapshot()
    inventory.close()


def bundle(folder: Path, hall: Hall) -> Path:
    folder.mkdir()
    (folder / "hall.yaml").write_text(yaml.safe_dump(hall.model_dump(mode="json")))
    lines = [f"{d.management.address} ssh-ed25519 KEY{d.serial}\n" for d in hall.devices]
    (folder / "known_hosts").write_text("# the hall's devices\n" + "".join(lines))
    (folder / "id_ed25519").write_text("a private key")
    return folder


def test_a_hand_over_folder_is_brought_in_whole(url: str, hall: Hall, tmp_path: Path) -> None:
    inventory, secrets = Inventory(url), KeptSecrets()
    folder = bundle(tmp_path / "handover", hall)
    assert inventory.import_bundle(folder, secrets).added > 0  # type: ignore[arg-type]
    assert secrets == {DEVICE_KEY: "a private key"}
    assert inventory.access("r1-s1").host_key == "ssh-ed25519 KEYSRV-r1-s1"
    assert by_name(inventory.hall()) == by_name(hall)
    inventory.close()


def test_a_hand_over_without_a_host_key_is_refused(url: str, hall: Hall, tmp_path: Path) -> None:
    inventory, folder = Inventory(url), bundle(tmp_path / "handover", hall)
    lines = (folder / "known_hosts").read_text().splitlines(keepends=True)
    (folder / "known_hosts").write_text("".join(lines[:-1]))
    with pytest.raises(BadInput, match="has no host key for globex-host"):
        inventory.import_bundle(folder, KeptSecrets())  # type: ignore[arg-type]
    inventory.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [", "is not YAML"),
        ("name: Big", r"name: String should match pattern .*\(given: 'Big'\)"),
        ("nonsense: 1", r"name: Field required; \d+ more"),
    ],
)
def test_a_wrong_hall_file_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "hall.yaml"
    path.write_text(text)
    with pytest.raises(BadInput, match=said) as refusal:
        load_hall(path)
    assert "\n" not in str(refusal.value)


def test_the_labs_hall_takes_two_compact_instances() -> None:
    hall = load_hall(Path(__file__).parents[2] / "halls" / "lab.yaml")
    now = InventorySnapshot.of(hall)
    customers = [(c.name, n.site) for c in hall.customers for n in c.networks]
    for customer, site in customers[:2]:
        plan = plan_instance(request(f"{customer}-1", customer, site), COMPACT, now)
        assert all(s.powered for s in plan.servers)
        now = now.holding(plan.instance, plan.holds)
