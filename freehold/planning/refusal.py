"""Why a request cannot be placed, in words: what is missing, how many, where, and what to do."""

from __future__ import annotations

from collections import Counter

from freehold.errors import CannotPlace
from freehold.models.request import InstanceRequest
from freehold.planning.placement import FITS, HELD, OUT_OF_USE, OWN, SMALL, STORED, UNCABLED, UNREACHED, Field
from freehold.planning.snapshot import InventorySnapshot
from freehold.services.base import ServerNeed


def _servers(count: int) -> str:
    return f"{count} server" if count == 1 else f"{count} servers"


def _described(need: ServerNeed) -> str:
    parts = [f"{need.memory_gib} GiB of memory", f"{need.cores} {'core' if need.cores == 1 else 'cores'}"]
    if need.disks:
        size = f" of {need.disk_gib} GiB" if need.disk_gib else ""
        parts.append(f"{need.disks} {'disk' if need.disks == 1 else 'disks'}{size}")
    parts.append(f"cables for {' and '.join(need.networks) or 'no network'}")
    return f"{_servers(need.count)} for {' + '.join(need.roles)} ({', '.join(parts)})"


def too_few_servers(
    request: InstanceRequest, field: Field, snapshot: InventorySnapshot, staying: int = 0
) -> CannotPlace:
    """The refusal for a field in which the needs cannot be met."""
    group = field.shortage()
    fit = [name for name, row in field.verdicts.items() if any(row[i] == FITS for i in group)]
    missing = field.missing()
    why: Counter[str] = Counter()
    for row in field.verdicts.values():
        reasons = {row[i] for i in group}
        if FITS not in reasons:
            why[min(reasons, key=[STORED, UNCABLED, UNREACHED, OUT_OF_USE, HELD, OWN, SMALL].index)] += 1
    racks = sorted({p.rack for name in fit if (p := field.servers[name].position)})
    where = f", in rack{'s' if len(racks) > 1 else ''} {', '.join(racks)}" if racks else ""
    rest = ", ".join(f"{n} {_be(n)} {reason}" for reason, n in sorted(why.items()))
    needs = " and ".join(_described(field.needs[i]) for i in group)
    besides = f", besides the {_servers(staying)} that stay{'s' if staying == 1 else ''}," if staying else ""
    return CannotPlace(
        f"{request.instance} needs{besides} {needs}; site {request.site} has {len(fit)} free that fit{where}, "
        f"{missing} too few{f' ({rest})' if rest else ''}. {_advice(request, field, snapshot, missing, why)}"
    )


def _be(count: int) -> str:
    return "is" if count == 1 else "are"


def _advice(
    request: InstanceRequest, field: Field, snapshot: InventorySnapshot, missing: int, why: Counter[str]
) -> str:
    ways = []
    if why[STORED]:
        ways.append(f"make room for {min(missing, why[STORED])} from the storeroom (rack units, feeds, leaf ports)")
    if why[UNCABLED]:
        ways.append(f"free switch ports to cable {min(missing, why[UNCABLED])} that {_be(why[UNCABLED])} mounted")
    if why[UNREACHED]:
        ways.append("cable a trunk between the switches")
    ways.append(f"free {missing}" if why[HELD] else f"add {missing}")
    here = {n.site for c in snapshot.customers if c.name == request.customer for n in c.networks}
    for site in sorted(here - {request.site}):
        if not Field.of(field.needs, snapshot, site, request.instance).shortage():
            ways.append(f"ask for site {site}, which has enough")
            break
    text = "; or ".join(ways)
    return f"{text[0].upper()}{text[1:]}."
