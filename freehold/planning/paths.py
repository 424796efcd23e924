"""Which trunks a network's VLAN must pass."""

from __future__ import annotations

from collections.abc import Sequence, Set

import networkx as nx

from freehold.models.hall import Cable
from freehold.planning.snapshot import End


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
    return _cables(fabric, tree, ends)


def trunks_joining(fabric: nx.Graph[str], ends: Sequence[str], there: Set[End]) -> list[Cable]:
    """The trunks that join `ends` for a network that shares its VLAN with no other.

    Keeps to trunks that carry it already (one of their ports is `there`), so that old and new together close no loop.
    """
    if not ends:
        return []
    tree: nx.Graph[str] = nx.Graph()
    tree.add_nodes_from(ends)
    tree.add_edges_from(edge for edge in fabric.edges if _ends(fabric.edges[edge]["cable"]) & there)
    while not (joined := nx.node_connected_component(tree, ends[0])).issuperset(ends):
        paths = nx.multi_source_dijkstra_path(fabric, sorted(joined))
        nearest = min((n for n in tree if n not in joined and n in paths), key=lambda n: (len(paths[n]), n))
        nx.add_path(tree, paths[nearest])
    return _cables(fabric, tree, ends)


def _cables(fabric: nx.Graph[str], tree: nx.Graph[str], ends: Sequence[str]) -> list[Cable]:
    """The trunks of the tree between these ends."""
    hops = {hop for end in ends[1:] for hop in nx.utils.pairwise(nx.shortest_path(tree, ends[0], end))}
    cables: dict[str, Cable] = {(cable := fabric.edges[hop]["cable"]).label: cable for hop in hops}
    return [cables[label] for label in sorted(cables)]


def _ends(cable: Cable) -> set[End]:
    return {(cable.a.device, cable.a.port), (cable.b.device, cable.b.port)}
