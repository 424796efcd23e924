"""The session's server, and what Freehold needs of a server."""

from __future__ import annotations

from datetime import timedelta

import pytest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError
from temporalio.worker import Worker

from freehold.errors import BadInput, StackError
from freehold.settings import Settings
from freehold.stack import temporal as server
from freehold.stack.client import connect, owns_server, ui_url, workflow_url
from tests.conftest import TemporalServer
from tests.stack.small_worker import Greet


async def retention(client: Client) -> timedelta:
    request = DescribeNamespaceRequest(namespace=client.namespace)
    found = await client.workflow_service.describe_namespace(request)
    return found.config.workflow_execution_retention_ttl.ToTimedelta()


async def test_every_search_attribute_finds_a_run(temporal: TemporalServer) -> None:
    client = await temporal.client("maria@hall")
    pairs = [
        SearchAttributePair(SearchAttributeKey.for_keyword(name), f"value-{name}") for name in server.SEARCH_ATTRIBUTES
    ]
    async with Worker(client, task_queue="stack-attributes", workflows=[Greet]):
        greeting = await client.execute_workflow(
            Greet.run,
            "north",
            id="stack-attributes",
            task_queue="stack-attributes",
            search_attributes=TypedSearchAttributes(pairs),
        )
    assert greeting == "Hello north"
    for name in server.SEARCH_ATTRIBUTES:
        found = await client.count_workflows(f"{name} = 'value-{name}'")
        assert found.count == 1, name
    events = (await client.get_workflow_handle("stack-attributes").fetch_history()).events
    assert events[0].workflow_execution_started_event_attributes.identity == "maria@hall"


async def test_attributes_are_created_once(temporal: TemporalServer) -> None:
    assert await server.ensure_search_attributes(await temporal.client()) == []


async def test_retention_is_set_and_read_back(temporal: TemporalServer) -> None:
    client = await temporal.client()
    await server.ensure_retention(client, 7)
    assert await retention(client) == timedelta(days=7)
    assert await server.ensure_retention(client, 30)
    assert await retention(client) == timedelta(days=30)
    assert not await server.ensure_retention(client, 30)


async def test_missing_namespace_is_one_sentence(temporal: TemporalServer) -> None:
    client = await connect(temporal.settings.model_copy(update={"temporal_namespace": "nowhere"}))
    with pytest.raises(StackError, match=r"Namespace nowhere at 127.0.0.1:\d+ cannot be searched"):
        await server.ensure_search_attributes(client)
    with pytest.raises(RPCError):
        await retention(client)


async def test_no_server_says_what_to_do(settings: Settings) -> None:
    with pytest.raises(StackError, match=r"does not answer .* start it with `freehold up`"):
        await connect(settings)


async def test_the_standard_variables_win(
    temporal: TemporalServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.address)
    assert not owns_server()
    assert (await connect(settings)).service_client.config.target_host == temporal.address
    assert ui_url(settings) is None
    linked = settings.model_copy(update={"temporal_ui_url": "https://temporal.example/"})
    assert workflow_url(linked, "a/b") == "https://temporal.example/namespaces/default/workflows/a%2Fb"


def test_a_broken_profile_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    broken = tmp_path_factory.mktemp("profile") / "temporal.toml"
    broken.write_text("[profile.default\n")
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(broken))
    with pytest.raises(BadInput, match=r"TEMPORAL_\* settings cannot be used"):
        owns_server()
