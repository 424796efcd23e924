"""The login in front of a real Temporal server's Web UI: who stands in the history, and what is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from temporalio.api.workflowservice import v1 as api
from temporalio.client import Client

from freehold.models.people import Act, Role
from freehold.web.attempts import MOST_WRONG
from freehold.web.endpoints import ENDPOINTS, asked
from freehold.web.login import LARGEST_BODY, LARGEST_MESSAGE, make_app
from freehold.web.sessions import COOKIE
from tests.conftest import TemporalServer
from tests.web.site import PASSWORD, PEOPLE, browser_of, make_sessions, served
from tests.workflows.rig import request, running_rig, until_waiting, view

ROOT = "/api/v1/namespaces/default"


@pytest.fixture
async def client(temporal: TemporalServer) -> Client:
    return await temporal.client()


@pytest.fixture
async def site(temporal: TemporalServer, tmp_path: Path) -> AsyncIterator[str]:
    async with served(make_app(make_sessions(tmp_path / "site"), temporal.ui)) as url:
        yield url


def payloads(value: Any) -> dict[str, Any]:
    """As the UI sends it."""
    data = base64.b64encode(json.dumps(value).encode()).decode()
    encoding = base64.b64encode(b"json/plain").decode()
    return {"payloads": [{"metadata": {"encoding": encoding}, "data": data}]}


def start_body(kind: str, task_queue: str, given: Any = None) -> dict[str, Any]:
    return {
        "workflowType": {"name": kind},
        "taskQueue": {"name": task_queue},
        "input": payloads(given),
        "identity": "somebody else",
        "requestId": str(uuid4()),
    }


def update_body(name: str, given: Any) -> dict[str, Any]:
    return {
        "request": {
            "meta": {"identity": "somebody else", "updateId": str(uuid4())},
            "input": {"name": name, "args": payloads(given)},
        },
        "waitPolicy": {"lifecycleStage": "UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED"},
    }


async def identities(client: Client, workflow_id: str) -> dict[str, str]:
    """Kind of event -> the identity in it, of the events that people cause."""
    found = {}
    async for event in client.get_workflow_handle(workflow_id).fetch_history_events():
        attributes = getattr(event, str(event.WhichOneof("attributes")))
        kind = str(event.WhichOneof("attributes")).removeprefix("workflow_execution_").removesuffix("_event_attributes")
        if kind == "update_accepted":
            found[kind] = attributes.accepted_request.meta.identity
        elif kind in ("started", "signaled", "cancel_requested", "terminated"):
            found[kind] = attributes.identity
    return found


async def test_a_forged_name_never_reaches_the_history(site: str, client: Client, tmp_path: Path) -> None:
    async with (
        running_rig(client, tmp_path / "rig") as rig,
        browser_of(site, "olivia") as olivia,
        browser_of(site, "amir") as amir,
    ):
        body = start_body("ProvisionInstance", rig.parts.settings.task_queue, request("acme-1").model_dump(mode="json"))
        workflow = f"{ROOT}/workflows/provision-acme-1"
        started = await olivia.post(workflow, json=body)
        assert started.status_code == 200, started.text
        handle = client.get_workflow_handle("provision-acme-1")
        hash_ = (await until_waiting(handle)).plan_hash
        signal = {"input": payloads({"operator": "amir", "plan_hash": "0123456789ab"}), "identity": "olivia"}
        assert (await amir.post(f"{workflow}/signal/approve", json=signal)).status_code == 200
        update = update_body("approve", {"operator": "amir", "plan_hash": hash_})
        answer = await amir.post(f"{workflow}/update/approve", json=update)
        assert answer.status_code == 200 and "success" in answer.json()["outcome"], answer.text
        assert await identities(client, handle.id) == {
            "started": "olivia",
            "signaled": "amir",
            "update_accepted": "amir",
        }
        outcome = await client.get_workflow_handle(handle.id).result()
        assert outcome["outcome"] == "active"


async def test_a_refused_update_is_answered_at_once_and_stays_in_the_history(
    site: str, client: Client, tmp_path: Path
) -> None:
    async with running_rig(client, tmp_path / "rig") as rig, browser_of(site, "amir") as amir:
        handle = await rig.provision()
        await until_waiting(handle)
        path = f"{ROOT}/workflows/{handle.id}/update/approve"
        for said, words in (({"operator": "olivia"}, "cannot approve it"), ("yes", "must be one JSON object")):
            answer = await amir.post(path, json=update_body("approve", said))
            assert answer.status_code == 200 and words in answer.json()["outcome"]["failure"]["message"], answer.text
        assert (await identities(client, handle.id))["update_accepted"] == "amir"
        seen = await view(handle)
        assert [(m.operator, m.identity, m.accepted) for m in seen.messages] == [
            ("olivia", "amir", False),
            ("", "amir", False),
        ]


async def test_ends_and_schedules_carry_the_name(site: str, client: Client) -> None:
    async with browser_of(site, "olivia") as olivia, browser_of(site, "root") as root:
        for act, kind, who in (("cancel", "cancel_requested", olivia), ("terminate", "terminated", root)):
            workflow_id = f"login-{act}-{uuid4()}"
            await client.start_workflow("Nobody", id=workflow_id, task_queue="nobody-polls-this")
            answer = await who.post(f"{ROOT}/workflows/{workflow_id}/{act}", json={"identity": "somebody else"})
            assert answer.status_code == 200, answer.text
            assert (await identities(client, workflow_id))[kind] == ("olivia" if who is olivia else "root")
        await _batch_and_schedule(root, olivia, client)


async def _batch_and_schedule(root: httpx.AsyncClient, olivia: httpx.AsyncClient, client: Client) -> None:
    workflow_id = f"login-batch-{uuid4()}"
    await client.start_workflow("Nobody", id=workflow_id, task_queue="nobody-polls-this")
    batch = {
        "executions": [{"workflowId": workflow_id}],
        "reason": "a test",
        "terminationOperation": {"identity": "somebody else"},
    }
    job = f"{ROOT}/batch-operations/{uuid4()}"
    answer = await root.post(job, json=batch)
    assert answer.status_code == 200, answer.text
    # A batch runs in the server's own name; who asked for it stands in the batch's record.
    assert (await root.get(job)).json()["identity"] == "root"
    schedule = f"{ROOT}/schedules/login-{uuid4()}"
    action = {"startWorkflow": {"workflowId": workflow_id, "workflowType": {"name": "WatchCables"}}}
    action["startWorkflow"]["taskQueue"] = {"name": "nobody-polls-this"}
    made = await olivia.post(
        schedule, json={"schedule": {"spec": {}, "action": action}, "identity": "x", "requestId": "1"}
    )
    assert made.status_code == 200, made.text
    paused = await olivia.post(f"{schedule}/patch", json={"patch": {"pause": "a test"}, "requestId": "2"})
    assert paused.status_code == 200, paused.text
    assert (await olivia.delete(schedule, params={"identity": "x"})).status_code == 200


@pytest.mark.parametrize(
    ("who", "path", "words"),
    [
        ("audrey", "workflows/x/signal/approve", "audrey (auditor) may not approve"),
        ("audrey", "workflows/x", "may not start"),
        ("olivia", "workflows/x/signal/approve", "may not approve"),
        ("olivia", "workflows/x/update/approve", "may not approve"),
        ("olivia", "workflows/x/terminate", "may not terminate"),
        ("olivia", "workflows/x/signal/change", "or send other messages"),
        ("amir", "workflows/x/update/abort", "may not retry, abort"),
        ("amir", "workflows/x/signal-with-start/approve", "may not start"),
        ("tess", "workflows/x/cancel", "may not retry, abort or cancel"),
        ("root", "workflows/x/signal/approve", "may not approve"),
    ],
)
async def test_what_a_role_may_not_do_is_refused_in_words(site: str, who: str, path: str, words: str) -> None:
    async with browser_of(site, who) as http:
        answer = await http.post(f"{ROOT}/{path}", json={"identity": "root"})
    assert answer.status_code == 403 and words in answer.json()["message"], answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{ROOT}/workflows/execute-multi-operation"),
        ("POST", f"{ROOT}/workflows/x/trigger-rule"),
        ("POST", f"{ROOT}/workflows/x/update-options"),
        ("POST", f"{ROOT}/workflows/x%2Fterminate"),
        ("POST", f"{ROOT}/workflows/x%252Fterminate"),
        ("POST", f"{ROOT}/workflows//signal/approve"),
        ("POST", f"{ROOT}/activities/complete-by-id"),
        ("POST", f"{ROOT}/update"),
        ("POST", f"{ROOT}/worker-deployments/x/set-manager"),
        ("DELETE", f"{ROOT}/workflow-rules/x"),
        ("POST", "/api/v1/namespaces"),
        ("POST", "/api/v1/nexus/endpoints"),
        ("PUT", f"{ROOT}/workflows/x"),
        ("PATCH", f"{ROOT}/workflows/x"),
        ("POST", "/auth/sso"),
        ("POST", "/"),
    ],
)
async def test_unknown_ways_to_write_are_refused(site: str, method: str, path: str) -> None:
    async with browser_of(site, "root") as http:
        # httpx would tidy the path up; the site must see it as it is.
        url = httpx.URL(site).copy_with(raw_path=path.encode())
        answer = await http.request(method, url, json={})
    assert answer.status_code == 403 and "refused" in answer.json()["message"], answer.text


TERMINATES = "WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING"


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("workflows/x", {"workflowType": {"name": "SwitchSession"}}, "people do not start 'SwitchSession'"),
        ("workflows/x", {"workflow_type": {"name": "SwitchSession"}}, "people do not start 'SwitchSession'"),
        ("workflows/x/signal-with-start/retry", {"workflowType": {"name": "Evil"}}, "people do not start 'Evil'"),
        ("schedules/x", {"schedule": {"action": {"startWorkflow": {"workflowType": {"name": "Evil"}}}}}, "'Evil'"),
        ("schedules/x/update", {"schedule": {"action": {"start_workflow": {"workflow_type": {"name": "E"}}}}}, "'E'"),
        ("workflows/x", {"workflowType": {"name": "ScaleUp"}, "workflowIdConflictPolicy": TERMINATES}, "end a run"),
        ("workflows/x", {"workflowType": {"name": "ScaleUp"}, "workflow_id_reuse_policy": 4}, "would end a run"),
    ],
)
async def test_only_procedures_are_started_and_no_start_ends_another_run(
    site: str, path: str, body: dict[str, Any], words: str
) -> None:
    async with browser_of(site, "root") as http:
        answer = await http.post(f"{ROOT}/{path}", json=body)
    assert answer.status_code == 403 and words in answer.json()["message"], answer.text


def test_paths_that_a_server_might_read_in_another_way_are_not_understood() -> None:
    for path in (
        "x/../y/terminate",
        "x/./terminate",
        "x%2f..%2fy/terminate",
        "%2e%2e/terminate",
        "x%5Cy",
        "x/",
        "x#/query/y",
    ):
        assert asked("POST", f"{ROOT}/workflows/{path}") is None, path


async def test_everybody_logged_in_reads(site: str) -> None:
    for name in PEOPLE:
        async with browser_of(site, name) as http:
            assert (await http.get(f"{ROOT}/workflows")).status_code == 200
            page = await http.get("/namespaces/default/workflows", headers={"Accept-Encoding": "gzip"})
            assert page.status_code == 200 and "<html" in page.text
            assert COOKIE not in page.headers.get("set-cookie", "")


async def test_nobody_else_gets_in(site: str) -> None:
    async with browser_of(site, None) as http:
        page = await http.get("/namespaces/default/workflows?query=a%3Db")
        assert page.status_code == 303
        assert page.headers["location"] == "/freehold/login?next=%2Fnamespaces%2Fdefault%2Fworkflows%3Fquery%3Da%253Db"
        assert (await http.get(f"{ROOT}/workflows")).status_code == 401
        assert (await http.post(f"{ROOT}/workflows/x", json={})).status_code == 401
        forged = await http.get(f"{ROOT}/workflows", headers={"Cookie": f"{COOKIE}=WyJyb290IiwiIl0.aaaa.bbbb"})
        assert forged.status_code == 401


async def test_the_way_in_and_out(site: str) -> None:
    async with browser_of(site, None) as http:
        wrong = await http.post("/freehold/login", data={"name": "amir", "password": "wrong"})
        assert wrong.status_code == 401 and "Name or password is wrong" in wrong.text
        form = {"name": "amir", "password": PASSWORD}
        for asked_for, leads_to in (("/namespaces/x?a=b", "/namespaces/x?a=b"), ("//evil", "/"), ("https://evil", "/")):
            inside = await http.post("/freehold/login", params={"next": asked_for}, data=form)
            assert inside.status_code == 303 and inside.headers["location"] == leads_to
        cookie = inside.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie
        assert "You are amir" in (await http.get("/freehold/login")).text
        evil = await http.post("/freehold/logout", headers={"Origin": "https://evil.example"})
        assert evil.status_code == 403
        assert (await http.post("/freehold/logout")).status_code == 303
        assert (await http.get(f"{ROOT}/workflows")).status_code == 401


async def test_guessing_is_slowed_down(site: str) -> None:
    async with browser_of(site, None) as http:
        tries = [
            (await http.post("/freehold/login", data={"name": "amir", "password": f"guess {n}"})).status_code
            for n in range(MOST_WRONG + 1)
        ]
        assert tries == [401] * MOST_WRONG + [429]
        other = await http.post("/freehold/login", data={"name": "olivia", "password": PASSWORD})
        assert other.status_code == 303


async def test_other_sites_and_odd_bodies_are_refused(site: str) -> None:
    path = f"{ROOT}/workflows/x/signal/approve"
    async with browser_of(site, "amir") as http:
        for header in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert (await http.post(path, json={}, headers=header)).status_code == 403
        for body in (b"[]", b"7", b"{", b"\xff", b'"x"', b"[" * 10_000):
            answer = await http.post(path, content=body)
            assert answer.status_code == 400 and "JSON object" in answer.json()["message"]
        assert (await http.post(path, content=b" " * (LARGEST_MESSAGE + 1))).status_code == 413
    async with browser_of(site, "olivia") as http:
        assert (await http.post(f"{ROOT}/workflows/x", content=b" " * (LARGEST_BODY + 1))).status_code == 413


async def test_a_ui_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    async with served(make_app(make_sessions(tmp_path), "http://127.0.0.1:1")) as url, httpx.AsyncClient() as http:
        await http.post(f"{url}/freehold/login", data={"name": "amir", "password": PASSWORD})
        answer = await http.get(f"{url}/api/v1/settings")
        assert answer.status_code == 502 and "does not answer" in answer.json()["message"]


def test_every_endpoint_that_writes_is_signed_where_the_server_reads_it() -> None:
    """The fields exist in the API's own messages: a field it does not know it would refuse."""
    of: dict[str, Any] = {
        "": api.StartWorkflowExecutionRequest,
        "signal": api.SignalWorkflowExecutionRequest,
        "update": api.UpdateWorkflowExecutionRequest,
        "signal-with-start": api.SignalWithStartWorkflowExecutionRequest,
        "cancel": api.RequestCancelWorkflowExecutionRequest,
        "terminate": api.TerminateWorkflowExecutionRequest,
        "reset": api.ResetWorkflowExecutionRequest,
        "pause": api.PauseWorkflowExecutionRequest,
        "unpause": api.UnpauseWorkflowExecutionRequest,
    }
    for endpoint in ENDPOINTS:
        if endpoint.acts == (Act.READ,) or not endpoint.path.startswith("workflows"):
            continue
        message: Any = of[endpoint.path.removeprefix("workflows/*").strip("/").partition("/")[0]].DESCRIPTOR
        for name in endpoint.identity:
            message = message.fields_by_name[name].message_type or message
    batch: Any = api.StartBatchOperationRequest.DESCRIPTOR.oneofs_by_name["operation"].fields
    found = asked("POST", f"{ROOT}/batch-operations/1")
    assert found is not None
    for field in (f for f in batch if "identity" in f.message_type.fields_by_name):
        for name in (field.name, field.json_name):
            assert found.signed({name: {"identity": "x"}}, "root") == {name: {"identity": "root"}}
    assert all(endpoint.acts or endpoint.names_message for endpoint in ENDPOINTS)
    assert Role.ADMIN in PEOPLE["root"]
