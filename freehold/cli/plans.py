"""A plan as people read it."""

from __future__ import annotations

from freehold.cli import console
from freehold.models.plan import DeviceDiff, Plan

LINE_STYLES = {"$": "bold", "+": "green", "-": "red", "@": "cyan"}


def print_plan(plan: Plan, diffs: bool = False) -> None:
    """The plan as tables, and on demand every device's exact change."""
    rows: list[tuple[object, ...]] = [
        (s.server, f"{s.rack} unit {s.unit}", ", ".join(s.feeds), ", ".join(s.roles), ", ".join(s.disks))
        for s in plan.servers
    ]
    rows += [
        (s.server, f"{s.rack} unit {s.unit}", ", ".join(s.feeds), "disabled", ", ".join(s.disks)) for s in plan.disabled
    ]
    console.print_rows(["server", "rack", "feeds", "roles", "disks"], rows, title="\nservers", empty="")
    console.print_rows(
        ["network", "VLAN", "prefix"],
        [(n.purpose, n.vlan, n.prefix) for n in plan.networks],
        title="\nnetworks",
        empty="",
    )
    console.print_rows(
        ["switch", "port", "becomes", "cable"],
        [
            (
                n.switch,
                n.switch_port,
                f"access, VLAN {net.vlan}" if (net := plan.network(n.network)) else "",
                n.cable.label,
            )
            for s in plan.servers
            for n in s.nics
        ],
        title="\nports",
        empty="",
    )
    for change in plan.diffs if diffs else ():
        _print_change(change)


def _print_change(change: DeviceDiff) -> None:
    """Lines are left whole and without a frame, so that they can be copied, searched and piped."""
    console.out.print(f"\nchanges on {change.device}", style="italic")
    for line in [*(f"$ {command}" for command in change.commands), *change.diff.splitlines()]:
        console.out.print(line, style=LINE_STYLES.get(line[:1], ""), markup=False, soft_wrap=True)
