"""Nothing that a workflow needs is missing from the worker. Found in the source, so that nobody has to list it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from temporalio.client import Client

from tests.workflows.rig import ROOT, Rig
from workers.wiring import WORKFLOWS, activities

ACTIVITY = "__temporal_activity_definition"
WORKFLOW = "__temporal_workflow_definition"
CALLS = {"call", "execute_activity", "execute_activity_method", "start_activity", "start_activity_method"}


def modules(package: str) -> Iterator[ModuleType]:
    for path in sorted((ROOT / package).glob("*.py")):
        yield import_module(f"{package}.{path.stem}")


def defined(package: str, mark: str) -> set[Any]:
    """What carries Temporal's mark among the functions, classes and methods of a package's modules."""
    found: set[Any] = set()
    for module in modules(package):
        own = [thing for thing in vars(module).values() if getattr(thing, "__module__", "") == module.__name__]
        methods = [method for each in own if inspect.isclass(each) for method in vars(each).values()]
        found |= {thing for thing in (*own, *methods) if hasattr(thing, mark)}
    return found


def called(module: ModuleType) -> Iterator[tuple[int, str]]:
    """Line and source of the activity in every call of one."""
    if module.__name__ == "workflows.calls":  # passes on what the others call
        return
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in CALLS and node.args:
                yield node.lineno, ast.unparse(node.args[0])


@pytest.fixture
def registered(rig: Rig, client: Client) -> set[Any]:
    return {getattr(method, "__func__", method) for method in activities(rig.parts, client)}


def test_every_workflow_is_registered() -> None:
    assert {thing for thing in defined("workflows", WORKFLOW) if inspect.isclass(thing)} == set(WORKFLOWS)


async def test_every_activity_is_registered(registered: set[Any]) -> None:
    assert registered == defined("activities", ACTIVITY)


async def test_every_activity_that_a_workflow_calls_is_registered(registered: set[Any]) -> None:
    seen = set()
    for module in modules("workflows"):
        for line, source in called(module):
            activity: Any = module
            for part in source.split("."):  # fails for anything but a plain name, which this test could not follow
                activity = getattr(activity, part)
            assert activity in registered, f"{module.__name__}:{line} calls {source}, which no worker has"
            seen.add(activity)
    assert seen == registered, "an activity that no workflow calls is dead code"
