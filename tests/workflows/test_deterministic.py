"""What workflows use is the same at every replay. The sandbox does not look into our own modules; this test does."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.workflows.rig import ROOT

OURS = ("activities", "freehold", "workflows")
HARMLESS = {
    *("__future__", "asyncio", "collections.abc", "contextlib", "contextvars", "dataclasses", "datetime"),
    *("functools", "inspect", "itertools", "pydantic", "temporalio", "typing"),
}
CLOCKS = {"now", "utcnow", "today"}
TIMERS = {"sleep", "wait", "wait_for", "timeout", "timeout_at", "as_completed", "to_thread"}
"""Of asyncio: they order by sets, by clocks or by threads, where `workflow` has its own."""
CONTAINERS = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)


def strange(name: str, tree: ast.Module) -> Iterator[str]:
    """What could be different at a replay, or in another run of the same worker."""
    for node in ast.walk(tree):
        where = f"{name}:{getattr(node, 'lineno', 0)}"
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Global):
            yield f"{where} changes {', '.join(node.names)} for all runs"
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in CLOCKS and node.value.id != "workflow":
                yield f"{where} reads a clock: {ast.unparse(node)}"
            if node.attr in TIMERS and node.value.id == "asyncio":
                yield f"{where} waits outside the history: {ast.unparse(node)}"
        for used in names:
            if used not in HARMLESS and used.partition(".")[0] not in (*OURS, "temporalio"):
                yield f"{where} imports {used}"
    for node in tree.body:
        value = getattr(node, "value", None)
        targets = [
            ast.unparse(target) for target in getattr(node, "targets", [getattr(node, "target", None)]) if target
        ]
        if isinstance(value, CONTAINERS) and not all(target.lstrip("_").isupper() for target in targets):
            yield f"{name}:{node.lineno} is state that all runs share: {', '.join(targets)}"


def test_workflows_use_nothing_that_changes() -> None:
    assert [
        found
        for path in sorted((ROOT / "workflows").glob("*.py"))
        for found in strange(path.stem, ast.parse(path.read_text()))
    ] == []


@pytest.mark.parametrize(
    "text",
    [
        "import random",
        "from os import environ",
        "from datetime import datetime\nat = datetime.now()",
        "import asyncio\nasync def f(): await asyncio.sleep(1)",
        "def f():\n    global n\n    n = 1",
        "seen = {}",
        "seen: dict[str, int] = {}",
    ],
)
def test_it_finds(text: str) -> None:
    assert len(list(strange("given", ast.parse(text)))) == 1
