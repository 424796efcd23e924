"""The cables of a hall, a site, a rack or an instance: looked at and judged."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from freehold.devices.base import Devices
from freehold.devices.sights import Answer, look
from freehold.errors import BadInput
from freehold.inventory import Inventory
from freehold.models.cabling import CableFinding, CablesInput, CablingReport, Verdict
from freehold.models.hall import Cable, Device, DeviceKind, Hall
from freehold.models.instance import Instance, InstanceState
from freehold.models.network import PortRef
from freehold.models.plan import Plan
from freehold.planning.cabling import concerning, judge, near


@dataclass(frozen=True)
class Question:
    """What is asked: the cables to judge, the devices to read for it, and whose strange cables matter."""

    hall: Hall
    cables: tuple[Cable, ...]
    """All that should be plugged, also those that are not asked for: they may be in the way."""
    labels: frozenset[str]
    devices: frozenset[str]
    reads: tuple[Device, ...]
    loose: frozenset[str] = frozenset()
    """Cables that are planned and not yet installed: that they are not plugged is no mistake."""
    beside: frozenset[str] = frozenset()
    """Others' cables that were right before the work. Their servers are asked only about those no longer seen."""


def check(inventory: Inventory, devices: Devices, given: CablesInput) -> CablingReport:
    """Look once at all cables that are asked for, whatever holds them."""
    return answer(_question(inventory, given), inventory, devices)


def of_plan(inventory: Inventory, plan: Plan, labels: Collection[str] = (), beside: Collection[str] = ()) -> Question:
    """These cables of a plan, or all. Its servers are asked even if the inventory still has them switched off."""
    hall = inventory.hall()
    planned = _planned(plan)
    own = [c for c in planned if not labels or c.label in labels]
    if unknown := sorted(set(labels) - {c.label for c in own}):
        known = ", ".join(c.label for c in planned)
        raise BadInput(f"cables: {unknown[0]!r} is no cable of {plan.instance}; it has {known}.")
    ends = {end.device for c in own for end in (c.a, c.b)}
    return Question(
        hall=hall,
        cables=_together(planned, hall.cables),
        labels=frozenset(c.label for c in own),
        devices=frozenset(s.server for s in plan.servers) & ends,
        reads=tuple(d for d in hall.devices if d.name in ends and d.kind is not DeviceKind.HOST),
        beside=frozenset(c.label for c in hall.cables if c.label in beside),
    )


def seen_beside(inventory: Inventory, devices: Devices, plan: Plan) -> tuple[str, ...]:
    """Others' cables that lead to the switches where a plan's cables will be plugged, and that are right now."""
    hall = inventory.hall()
    ends = {end.device for c in plan.cables for end in (c.a, c.b)}
    switches = tuple(d for d in hall.devices if d.name in ends and d.kind is DeviceKind.SWITCH)
    names = {d.name for d in switches}
    own = {c.label for c in _planned(plan)}
    near = frozenset(c.label for c in hall.cables if {c.a.device, c.b.device} & names and c.label not in own)
    question = Question(hall=hall, cables=hall.cables, labels=near, devices=frozenset(), reads=switches)
    report = answer(question, inventory, devices)
    return tuple(f.cable.label for f in report.findings if f.cable.label in near and f.verdict is Verdict.OK)


def answer(question: Question, inventory: Inventory, devices: Devices) -> CablingReport:
    """Read the devices and judge. Changes nothing."""
    labels = question.labels | question.beside
    ends = [end for c in question.cables if c.label in labels for end in (c.a, c.b)]
    answers = look(devices, inventory.access, question.reads, ends)
    findings = _judged(question, answers)
    if more := _unasked(question, findings):
        answers += look(devices, inventory.access, more, ends)
        findings = _judged(question, answers)
    skipped = [f.cable.label for f in findings if _no_mistake(f, question, answers)]
    return CablingReport(
        findings=tuple(f for f in findings if f.cable.label not in skipped),
        unanswered=tuple(f"{a.device}: {a.error}" for a in answers if a.error),
        skipped=tuple(skipped),
    )


def _judged(question: Question, answers: Sequence[Answer]) -> tuple[CableFinding, ...]:
    macs = {n.mac: PortRef(device=d.name, port=n.name) for d in question.hall.devices for n in d.nics}
    sights = [sight for a in answers for sight in a.sights]
    labels = question.labels | question.beside
    return concerning(judge(near(question.cables, labels, sights, macs), sights, macs), labels, question.devices)


def _unasked(question: Question, findings: Sequence[CableFinding]) -> tuple[Device, ...]:
    """Devices at the far ends of others' cables that are no longer seen."""
    lost = [f.cable for f in findings if f.cable.label in question.beside and f.verdict is Verdict.UNKNOWN]
    ends = {end.device for cable in lost for end in (cable.a, cable.b)} - {d.name for d in question.reads}
    return tuple(d for d in question.hall.devices if d.name in ends and _can_be_read(d))


def _no_mistake(finding: CableFinding, question: Question, answers: Sequence[Answer]) -> bool:
    """A cable of which nothing is known and nothing is expected."""
    if finding.verdict not in (Verdict.MISSING, Verdict.UNKNOWN):
        return False
    if finding.cable.label in question.loose:
        return True
    if finding.verdict is Verdict.UNKNOWN and finding.cable.label in question.beside:
        return True
    read = {a.device for a in answers}
    quiet = {d.name for d in question.hall.devices if not d.powered} - read
    return finding.verdict is Verdict.UNKNOWN and bool({finding.cable.a.device, finding.cable.b.device} & quiet)


def _question(inventory: Inventory, given: CablesInput) -> Question:
    if given.instance:
        return of_plan(inventory, _whole(inventory.instance(given.instance)))
    hall = inventory.hall()
    chosen = _chosen(hall, given)
    planned = [c for i in inventory.instances() if _lives(i) for c in _planned(_whole(i))]
    cables = _together(hall.cables, planned)
    asked = [c for c in cables if {c.a.device, c.b.device} & chosen]
    ends = chosen | {end.device for c in asked for end in (c.a, c.b)}
    return Question(
        hall=hall,
        cables=cables,
        labels=frozenset(c.label for c in asked),
        devices=frozenset(chosen),
        reads=tuple(d for d in hall.devices if d.name in ends and _can_be_read(d)),
        loose=frozenset(c.label for c in planned) - {c.label for c in hall.cables},
    )


def _planned(plan: Plan) -> tuple[Cable, ...]:
    """Cables that the instance uses, and those that come with its new servers."""
    return _together([nic.cable for server in plan.servers for nic in server.nics], plan.cables)


def _chosen(hall: Hall, given: CablesInput) -> set[str]:
    if given.site is not None and given.site not in (names := sorted(s.name for s in hall.sites)):
        raise BadInput(f"site: {given.site!r} is not known; it is one of {', '.join(names)}.")
    racks = sorted({r.name for r in hall.racks if given.site in (None, r.site)})
    if given.rack is not None and given.rack not in racks:
        where = f" at {given.site}" if given.site else ""
        raise BadInput(f"rack: {given.rack!r} is not known{where}; it is one of {', '.join(racks)}.")
    return {
        d.name
        for d in hall.devices
        if given.site in (None, d.site) and (given.rack is None or (d.position and d.position.rack == given.rack))
    }


def _can_be_read(device: Device) -> bool:
    """Customers' hosts are not asked: the switch's end shows enough."""
    return device.powered and device.kind is not DeviceKind.HOST and (device.position is not None)


def _whole(instance: Instance) -> Plan:
    """The instance's plan; while it changes, with what joins and what leaves."""
    if instance.change is None:
        return instance.plan
    after, leaving = instance.change.after, instance.change.leaving
    return after.model_copy(update={"servers": (*after.servers, *leaving.servers)})


def _lives(instance: Instance) -> bool:
    return instance.state is not InstanceState.GONE


def _together(first: Sequence[Cable], more: Sequence[Cable]) -> tuple[Cable, ...]:
    """All cables once; of two that claim the same label or port the first stays."""
    kept = list(first)
    labels = {c.label for c in kept}
    ends = {end for c in kept for end in (c.a, c.b)}
    for cable in more:
        if cable.label not in labels and not {cable.a, cable.b} & ends:
            kept.append(cable)
            labels.add(cable.label)
            ends |= {cable.a, cable.b}
    return tuple(kept)
