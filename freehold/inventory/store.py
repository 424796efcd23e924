"""The inventory: what there is, who holds it, and what was observed. Every method is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path

from freehold.devices.base import Secrets
from freehold.errors import BadInput
from freehold.inventory import changes, halls, installation, records, removal, reservations, scaling, unerased
from freehold.inventory.engine import Database
from freehold.inventory.halls import ImportCounts
from freehold.inventory.handover import load_host_keys
from freehold.models.access import Access
from freehold.models.change import Change
from freehold.models.hall import Device, Hall, load_hall
from freehold.models.installation import Installed
from freehold.models.instance import Evidence, EvidenceKind, Instance, InstanceState, Lease
from freehold.models.plan import Hold, Plan
from freehold.models.removal import Removed
from freehold.models.request import InstanceRequest, ScaleRequest
from freehold.models.scaling import Contract, Standing
from freehold.planning.snapshot import InventorySnapshot

DEVICE_KEY = "devices/ssh-key"
"""Name of the secret that opens the devices of a hand-over."""


class Inventory:
    """Safe to share between threads; each process opens its own."""

    def __init__(self, url: str) -> None:
        """Open the database, and bring its tables up to date if they are not."""
        self._database = Database(url)

    def close(self) -> None:
        self._database.close()

    def import_hall(self, hall: Hall, host_keys: Mapping[str, str], credential: str = DEVICE_KEY) -> ImportCounts:
        """Make this the hall. Repeating it changes nothing; a device without a new host key keeps the one it has.

        Raises Conflict when an instance holds what the hall no longer has.
        """
        with self._database.write() as session:
            return halls.import_hall(session, hall, host_keys, credential)

    def import_bundle(self, folder: Path, secrets: Secrets) -> ImportCounts:
        """Bring in a hand-over folder; its private key goes to the secret store."""
        hall = load_hall(folder / "hall.yaml")
        host_keys = load_host_keys(folder / "known_hosts", hall)
        try:
            key = (folder / "id_ed25519").read_text()
        except OSError as error:
            raise BadInput(f"{folder / 'id_ed25519'}: cannot be read: {error.strerror}.") from error
        secrets.put(DEVICE_KEY, key)
        return self.import_hall(hall, host_keys, DEVICE_KEY)

    def hall(self) -> Hall:
        with self._database.read() as session:
            return halls.read_hall(session)

    def snapshot(self, site: str | None = None) -> InventorySnapshot:
        """All that planning needs, of one moment; with `site`, devices and cables of that site only."""
        with self._database.read() as session:
            return halls.read_snapshot(session, site)

    def device(self, name: str) -> Device:
        """Raises NotFound."""
        with self._database.read() as session:
            return halls.device(session, name)

    def access(self, device: str) -> Access:
        with self._database.read() as session:
            return halls.access(session, device)

    def hosts(self, customer: str | None = None) -> tuple[Device, ...]:
        """Customers' own machines, of one customer or of all."""
        with self._database.read() as session:
            return halls.hosts(session, customer)

    def place(self, request: InstanceRequest, plan: Callable[[InventorySnapshot], Plan]) -> Plan:
        """Plan and reserve in one transaction: of many at the same time each plans with what the others left.

        Raises what `plan` raises, and takes nothing. Repeating it gives the plan that was reserved.
        """
        with self._database.write() as session:
            reserved = reservations.reserved_for(session, request)
            if reserved is not None:
                return reserved
            made = plan(halls.read_snapshot(session, None))
            reservations.reserve(session, made, None)
            return made

    def reserve(self, plan: Plan, lease: Lease | None = None) -> None:
        """Take everything the plan holds and write the instance down, or raise Conflict and take nothing.

        Repeating it is harmless. With a lease, only the run that has it may reserve.
        """
        with self._database.write() as session:
            reservations.reserve(session, plan, lease)

    def release(self, instance: str, *, forget: bool = False) -> bool:
        """Give everything back; True when there was something. `forget`: as if it had never been asked for."""
        with self._database.write() as session:
            return reservations.release(session, instance, forget)

    def holds(self, instance: str | None = None) -> tuple[tuple[Hold, str], ...]:
        """What is held and by which instance."""
        with self._database.read() as session:
            return reservations.holds(session, instance)

    def take_lease(self, instance: str, procedure: str, workflow_id: str, run_id: str) -> Lease:
        """The right to work on an instance. Raises LeaseHeld that says which procedure has it."""
        with self._database.write() as session:
            return reservations.take_lease(session, instance, procedure, workflow_id, run_id)

    def drop_lease(self, instance: str, workflow_id: str, run_id: str) -> bool:
        """Give the right back; False when this run does not have it."""
        with self._database.write() as session:
            return reservations.drop_lease(session, instance, workflow_id, run_id)

    def lease(self, instance: str) -> Lease | None:
        with self._database.read() as session:
            return reservations.lease(session, instance)

    def create_instance(self, plan: Plan) -> bool:
        """Write an instance down without any hold; `reserve` does both. False when it is there."""
        with self._database.write() as session:
            return reservations.create_instance(session, plan)

    def instance(self, name: str) -> Instance:
        with self._database.read() as session:
            return reservations.instance(session, name)

    def instances(self) -> tuple[Instance, ...]:
        """All instances, also those that are gone."""
        with self._database.read() as session:
            return reservations.instances(session)

    def set_state(self, instance: str, state: InstanceState) -> None:
        with self._database.write() as session:
            reservations.set_state(session, instance, state)

    def update_plan(self, instance: str, plan: Plan) -> None:
        """Replace the plan by one that takes the same things."""
        with self._database.write() as session:
            reservations.update_plan(session, instance, plan)

    def undo_plan(self, instance: str) -> Plan:
        """The plan to take back: without the trunk memberships that other instances still need.

        Marks the instance as leaving, so that of two that leave together the last one takes them out.
        """
        with self._database.write() as session:
            return reservations.undo_plan(session, instance)

    def place_change(self, request: ScaleRequest, plan: Callable[[Plan, InventorySnapshot], Plan]) -> Change:
        """Plan what an active instance becomes, and take what that adds, in one transaction; a dry run takes nothing.

        Raises what `plan` raises, and Conflict when the instance is not active. Repeating it gives the same change.
        """
        with self._database.write() as session:
            return changes.place_change(session, request, plan)

    def change(self, instance: str) -> Change:
        """Raises NotFound when the instance is not being changed."""
        with self._database.read() as session:
            return changes.change(session, instance)

    def keep_target(self, plan: Plan) -> None:
        """Replace the plan that an instance is changed to by one that takes the same things."""
        with self._database.write() as session:
            changes.keep_target(session, plan)

    def leaving(self, instance: str) -> Plan:
        """What a change takes away, without the trunk memberships that other instances still need."""
        with self._database.write() as session:
            return changes.leaving(session, instance)

    def joining(self, instance: str) -> Plan:
        """What a change added and its undoing takes away, without what other instances still need."""
        with self._database.write() as session:
            return changes.joining(session, instance)

    def settle_change(self, instance: str, forget: Collection[str] = ()) -> bool:
        """The change is done: its plan is the instance's, what left is free, these files of it are gone.

        Repeating it is harmless.
        """
        with self._database.write() as session:
            return changes.settle(session, instance, forget)

    def drop_change(self, instance: str, forget: Collection[str] = ()) -> bool:
        """The change was taken back: the instance keeps its plan, what had joined is free, these files are gone.

        Repeating it is harmless.
        """
        with self._database.write() as session:
            return changes.drop(session, instance, forget)

    def install(self, given: Installed) -> bool:
        """Write down what people installed for an instance; it stays installed when the instance ends."""
        with self._database.write() as session:
            return installation.install(session, given)

    def remove(self, given: Removed) -> bool:
        """Write down what people took out of the racks."""
        with self._database.write() as session:
            return removal.remove(session, given)

    def set_out_of_use(self, marks: Mapping[str, str]) -> bool:
        """Mark servers (`srv-10`) and switch ports (`leaf1/swp7`), so that no plan takes them; True when that is new.

        An empty reason puts one back in use.
        """
        with self._database.write() as session:
            return installation.set_out_of_use(session, marks)

    def set_erased(self, server: str, method: str, operator: str) -> Evidence:
        """Keep a person's word on how the disks of a server were erased that an instance had given up.

        Raises NotFound when there is nothing to erase.
        """
        with self._database.write() as session:
            return unerased.set_erased(session, server, method, operator)

    def replan(
        self,
        standing: Installed,
        make: Callable[[Plan, InventorySnapshot], Plan],
        record: Callable[[Plan, Plan], Evidence],
    ) -> Plan:
        """Exchange an instance's plan and holds for those that `make` gives, in one transaction.

        `standing` is what people have installed of things that the new plan may leave behind. Raises what `make`
        raises, and changes nothing then.
        """
        with self._database.write() as session:
            return installation.replan(session, standing, make, record)

    def keep_evidence(self, *evidence: Evidence) -> None:
        """Keep what was observed. The first under an id stands, so repeating is harmless."""
        with self._database.write() as session:
            records.keep_evidence(session, evidence)

    def evidence(self, instance: str, kind: EvidenceKind | None = None) -> tuple[Evidence, ...]:
        with self._database.read() as session:
            return records.evidence(session, instance, kind)

    def keep_files(self, instance: str, files: Mapping[str, bytes]) -> None:
        """Keep or replace files of an instance, until the instance is released."""
        with self._database.write() as session:
            records.keep_files(session, instance, files)

    def file(self, instance: str, name: str) -> bytes | None:
        with self._database.read() as session:
            return records.file(session, instance, name)

    def set_contract(self, instance: str, contract: Contract) -> bool:
        """Keep what the customer allows the schedule to do; False when that is known already."""
        with self._database.write() as session:
            return scaling.set_contract(session, instance, contract)

    def contract(self, instance: str) -> Contract:
        """What the schedule may do with an instance; nothing when nobody has said anything."""
        with self._database.read() as session:
            return scaling.contract(session, instance)

    def note_asked(self, instance: str, at: datetime) -> None:
        """The schedule has asked for a change of this instance; it rests for a while."""
        with self._database.write() as session:
            scaling.note_asked(session, instance, at)

    def standings(self) -> list[tuple[Standing, Contract]]:
        """All instances about which the schedule decides, with what is allowed; one query."""
        with self._database.read() as session:
            return scaling.standings(session)

    def newest_evidence(self, kind: EvidenceKind, most: int) -> tuple[Evidence, ...]:
        """The last observations of a kind, of all instances, the newest first."""
        with self._database.read() as session:
            return records.newest_evidence(session, kind, most)

    def piece_of_evidence(self, evidence: str) -> Evidence | None:
        with self._database.read() as session:
            return records.piece_of_evidence(session, evidence)

    def fingerprint(self) -> str:
        """Hash of everything but evidence, instances that are gone, and times."""
        with self._database.read() as session:
            return records.fingerprint(session)
