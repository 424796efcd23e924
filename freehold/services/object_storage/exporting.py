"""All objects of an instance in a folder of the customer's host: what is run there, and what its answers prove."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freehold.errors import ProofFailed
from freehold.models.change import Round
from freehold.models.contents import ExportTarget
from freehold.models.plan import Plan
from freehold.models.units import GIB
from freehold.services.base import Errand
from freehold.services.object_storage.errands import program, simulated

ROUND_S = 600
"""People learn how far it is, and may stop it, after so long. A history has room for two months of rounds."""
LIMIT_S = 12 * 3600
"""One object may be large."""


def errand(plan: Plan, credentials: Mapping[str, str], target: ExportTarget) -> Errand:
    given = {**credentials, "instance": plan.instance, "folder": target.folder, "round_s": ROUND_S}
    return Errand(server=target.host, script=program("export"), given=given, timeout_s=LIMIT_S)


def judge(plan: Plan, target: ExportTarget, answer: Mapping[str, Any]) -> Round:
    """Raises ProofFailed in the words of the host."""
    if found := simulated([answer]):
        return found
    if not answer["ok"]:
        raise ProofFailed(f"{target}: {answer['error']}")
    count, size, where = answer["objects"], answer["bytes"], f"{target}/{plan.instance}"
    if answer["done"]:
        words = (
            f"all {count:,} objects ({size / GIB:.2f} GiB) of {plan.instance} lie in {where}, read back and compared"
        )
    else:
        words = f"objects go to {where}"
    return Round(
        done=answer["done"],
        words=words,
        left_objects=answer["left_objects"],
        left_bytes=answer["left_bytes"],
        total_objects=count,
        total_bytes=size,
        observed=dict(answer),
    )
