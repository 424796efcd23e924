"""The patch panel: cables are plugged and pulled while both ends run.

Network cards and switch ports always exist; their other ends lie in the panel. A plugged cable is a pair of redirects
between two ends; where nothing is plugged the panel's end is down, so the machine sees no carrier.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from freehold.lab.commands import batch, run


def connect(panel: str, wanted: dict[str, str]) -> None:
    """Make exactly these connections (end -> end, both ways listed). Repeating changes nothing.

    An end's alias says to which other end it is connected.
    """
    present = {
        link["ifname"]: (link.get("ifalias", ""), "UP" in link["flags"])
        for link in json.loads(run("ip", "-n", panel, "-j", "link", "show"))
        if link["ifname"] != "lo"
    }
    wanted = {a: b for a, b in wanted.items() if a in present and b in present}
    wrong = [end for end, state in present.items() if state != (wanted.get(end, ""), end in wanted)]
    if not wrong:
        return
    # Down first, all of them: a moved cable is pulled before it is plugged, as by hand.
    batch("ip", [f'link set {end} down alias "{wanted.get(end, "")}"' for end in wrong], "-n", panel)
    batch("tc", [f"qdisc del dev {end} clsact" for end in wrong if present[end][0]], "-n", panel, "-force")
    batch("tc", [line for end in wrong if end in wanted for line in _redirect(end, wanted[end])], "-n", panel)
    batch("ip", [f"link set {end} up" for end in wrong if end in wanted], "-n", panel)


def _redirect(end: str, other: str) -> Iterator[str]:
    yield f"qdisc add dev {end} clsact"
    yield f"filter add dev {end} ingress protocol all u32 match u32 0 0 action mirred egress redirect dev {other}"
