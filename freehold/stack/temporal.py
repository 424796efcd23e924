"""Our own Temporal server, and what Freehold needs of any server: retention and search attributes."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, UpdateNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from freehold.errors import StackError
from freehold.settings import LOOPBACK, Settings

SEARCH_ATTRIBUTES = (
    "FreeholdInstance",
    "FreeholdCustomer",
    "FreeholdSite",
    "FreeholdStep",
    "FreeholdWaitingFor",
)
RPC_TIMEOUT = timedelta(seconds=10)


def server_command(settings: Settings, temporal: Path) -> tuple[str, ...]:
    database = settings.home / "temporal" / "temporal.db"
    database.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = [str(temporal), "server", "start-dev", "--ip", LOOPBACK, "--log-level", "warn"]
    command += ["--log-format", "json", "--db-filename", str(database)]
    # A write-ahead log is three times as fast and survives kills.
    command += ["--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=normal"]
    # By default it looks for new tasks 20 times a second, and each step of a procedure is several of them, one after
    # the other. Far more would take time from many procedures at once, of which one look finds many tasks. Lists of
    # procedures keep in step.
    for queue in ("transfer", "visibility"):
        command += ["--dynamic-config-value", f"history.{queue}ProcessorMaxPollRPS=100"]
    # Ports that are not given are random.
    command += ["--port", str(settings.temporal_port), "--ui-port", str(settings.temporal_ui_port)]
    command += ["--http-port", str(settings.temporal_http_port)]
    command += ["--metrics-port", str(settings.temporal_metrics_port)]
    if settings.temporal_namespace != "default":
        command += ["--namespace", settings.temporal_namespace]
    return tuple(command)


async def ensure_retention(client: Client, days: int) -> bool:
    """Keep finished procedures for `days`. True when that had to be set."""
    wanted = Duration(seconds=days * 86_400)
    found = await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=client.namespace), timeout=RPC_TIMEOUT
    )
    if found.config.workflow_execution_retention_ttl == wanted:
        return False
    request = UpdateNamespaceRequest(namespace=client.namespace)
    request.config.workflow_execution_retention_ttl.CopyFrom(wanted)
    await client.workflow_service.update_namespace(request, timeout=RPC_TIMEOUT)
    return True


async def ensure_search_attributes(client: Client) -> list[str]:
    """Have all our search attributes usable; returns those that had to be created."""
    missing = await _unusable(client)
    if not missing:
        return []
    request = AddSearchAttributesRequest(
        namespace=client.namespace,
        search_attributes=dict.fromkeys(missing, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD),
    )
    try:
        await client.operator_service.add_search_attributes(request, timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise StackError(_please_create(client, missing, error.message)) from error
    for _ in range(100):  # servers cache their attributes for some seconds
        if not await _unusable(client):
            return missing
        await asyncio.sleep(0.1)
    raise StackError(_please_create(client, missing, "created, but not usable as Keyword"))


async def _unusable(client: Client) -> list[str]:
    """Those by which one cannot search. A search needs the least rights, and works on every kind of server."""
    return [name for name in SEARCH_ATTRIBUTES if not await _usable(client, name)]


async def _usable(client: Client, name: str) -> bool:
    try:
        await client.count_workflows(f"{name} = 'freehold'", rpc_timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status is RPCStatusCode.INVALID_ARGUMENT:
            return False
        raise StackError(
            f"Namespace {client.namespace} at {client.service_client.config.target_host} "
            f"cannot be searched: {error.message}."
        ) from error
    return True


def _please_create(client: Client, missing: list[str], reason: str) -> str:
    options = " ".join(f"--name {name} --type Keyword" for name in missing)
    return (
        f"Namespace {client.namespace} at {client.service_client.config.target_host} lacks search attributes "
        f"and we could not create them ({reason}); have somebody with the rights run "
        f"`temporal operator search-attribute create --namespace {client.namespace} {options}`."
    )
