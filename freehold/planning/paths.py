"""Which trunks a network's VLAN must pass."""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx

from freehold.models.hall import Cable


def islands(fabric: nx.Graph[str]) -> list[set[str]]:
    """Groups of switches that trunks join, in a stable order."""
    return sorted((set(c) for c in nx.connected_components(fabric)), key=min)


def trunks_between(fabric: nx.Graph[str], ends: Sequence[str], root: str | None) -> list[Cable]:
    """The trunks that join `ends`, taken out of the tree of shortest paths from `root`.

    Networks that share a VLAN must give the same root: then their paths together close no loop. Without one,
    the first switch of the island serves all.
    """
    if not ends:
        return []
    root = root or min(nx.node_connected_component(fabric, ends[0]))
    tree: nx.Graph[str] = nx.Graph()
    tree.add_node(root)
    for path in nx.single_source_shortest_path(fabric, root).values():
        nx.add_path(tree, path)
    hops = {hop for end in ends[1:] for hop in nx.utils.pairwise(nx.shortest_path(tree, ends[0], end))}
    cables: dict[str, Cable] = {(cable := fabric.edges[hop]["cable"]).label: cable for hop in hops}
    return [cables[label] for label in sorted(cables)]
