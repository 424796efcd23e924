"""What was found out of use stays so, until somebody says otherwise."""

from __future__ import annotations

import pytest

from activities.installation import _compare
from freehold.errors import Conflict, NotFound
from freehold.inventory import Inventory
from freehold.models.checklist import ItemKind
from freehold.models.hall import Hall
from freehold.models.instance import EvidenceKind
from freehold.models.removal import Removed
from freehold.models.server import ServerFacts
from tests.halls import small_hall


def test_a_mark_outlives_another_import_of_the_hall(inventory: Inventory, hall: Hall) -> None:
    assert inventory.set_out_of_use({"r1-s1": "dead", "leaf1/swp5": "bent pins"})
    assert not inventory.set_out_of_use({"r1-s1": "dead"}), "doing it twice changes nothing"
    assert inventory.import_hall(hall, {}).changed == 0
    found = inventory.hall()
    assert (found.device("r1-s1").out_of_use, found.device("leaf1").why_unused("swp5")) == ("dead", "bent pins")
    assert inventory.set_out_of_use({"r1-s1": "", "leaf1/swp5": ""})
    assert not any(d.out_of_use or any(p.out_of_use for p in d.ports) for d in inventory.hall().devices)


def test_what_died_with_data_is_not_used_before_somebody_says_how_it_was_erased(
    inventory: Inventory, hall: Hall
) -> None:
    marks = {"out_of_use": "it died", "unerased": "acme-1"}
    died = tuple(d.model_copy(update=marks) if d.name == "r1-s1" else d for d in hall.devices)
    inventory.import_hall(hall.model_copy(update={"devices": died}), {})
    inventory.import_hall(hall, {})
    with pytest.raises(
        Conflict, match=r"r1-s1 still has data of acme-1 .*`freehold inventory erased r1-s1 --how TEXT`"
    ):
        inventory.set_out_of_use({"r1-s1": ""})
    gone = hall.model_copy(update={
        "devices": tuple(d for d in hall.devices if d.name != "r1-s1"),
        "cables": tuple(c for c in hall.cables if "r1-s1" not in (c.a.device, c.b.device)),
    })  # fmt: skip
    with pytest.raises(Conflict, match="r1-s1 still has data of acme-1"):
        inventory.import_hall(gone, {})  # it would come back with another import, and without its mark
    record = inventory.set_erased("r1-s1", "disks shredded", "olga")
    assert inventory.evidence("acme-1", EvidenceKind.ERASE) == (record,)
    assert record.observed == {"server": "r1-s1", "disks": ["vdb"], "method": "disks shredded", "operator": "olga"}
    assert inventory.hall().device("r1-s1").out_of_use, "whether it works is another question"
    assert inventory.set_out_of_use({"r1-s1": ""})
    with pytest.raises(NotFound, match="no instance has given up 'r1-s1'"):
        inventory.set_erased("r1-s1", "again", "olga")


@pytest.mark.parametrize("thing", ["nobody", "leaf1", "leaf1/swp999", "r1-s1/eth1", "acme-host"])
def test_only_servers_and_switch_ports_are_marked(inventory: Inventory, thing: str) -> None:
    with pytest.raises(NotFound, match=r"write srv-10 or leaf1/swp7"):
        inventory.set_out_of_use({thing: "dead"})


def test_what_was_taken_out_lies_in_the_storeroom(inventory: Inventory) -> None:
    labels = tuple(c.label for c in inventory.hall().cables if c.b.device == "r1-s1")
    gone = Removed(cables=labels, switched_off=("r1-s1",), taken_out=("r1-s1",))
    assert inventory.remove(gone) and not inventory.remove(gone), "doing it twice changes nothing"
    server = inventory.hall().device("r1-s1")
    assert (server.position, server.feeds, server.powered) == (None, (), False)
    assert not set(labels) & {c.label for c in inventory.hall().cables}


@pytest.mark.parametrize(("memory_mib", "right"), [(4096, True), (3800, True), (8192, True), (2048, False)])
def test_memory_is_held_against_the_inventory(memory_mib: int, right: bool) -> None:
    device = small_hall().build().device("r1-s1")
    facts = ServerFacts(
        server=device.name,
        serial=device.serial,
        memory_mib=memory_mib,
        cores=device.cores,
        nics={n.name: n.mac for n in device.nics},
        disks={d.name: d.size_gib << 30 for d in device.disks},
    )
    found = _compare(device, facts)
    assert found.wrong is (None if right else ItemKind.RACK)
    assert right or "2048 MiB of memory instead of 4 GiB" in found.words
