"""The workflow sandbox, entered to run a workflow and for nothing else.

The SDK asks inside the sandbox in which context each payload is converted, seven times on a payload's way through a
workflow, and entering the sandbox costs more than all else that is done with a small payload. Freehold's converter
treats payloads alike in every context, so the answer is known outside.
"""

from __future__ import annotations

from typing import Any

from temporalio.converter import StorageDriverStoreContext
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import Info

NOWHERE = StorageDriverStoreContext(target=None)


def sandbox(*packages: str) -> ContextFreeSandbox:
    """The default sandbox, in which the modules of these packages are those outside: they are not loaded again for
    every run. So they may hold no state of a run, and a test looks at what they use."""
    return ContextFreeSandbox(restrictions=SandboxRestrictions.default.with_passthrough_modules(*packages))


class ContextFreeSandbox(SandboxedWorkflowRunner):
    """The default sandbox with all of its restrictions, for converters that need no context."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _ContextFree(super().create_instance(det))


class _ContextFree(WorkflowInstance):
    def __init__(self, sandboxed: WorkflowInstance) -> None:
        self._sandboxed = sandboxed

    def activate(self, act: Any) -> Any:
        return self._sandboxed.activate(act)

    def get_info(self) -> Info:
        return self._sandboxed.get_info()

    def get_thread_id(self) -> int | None:
        return self._sandboxed.get_thread_id()

    def get_serialization_context(self, command_info: object) -> None:
        return None

    def get_external_store_context(self, command_info: object) -> StorageDriverStoreContext:
        return NOWHERE
