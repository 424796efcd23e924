"""The technicians' pages over a running installation: what is tapped reaches it in the name of who tapped."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from temporalio.client import Client

from freehold.errors import BadInput, NotFound
from freehold.models.checklist import ConfirmItems, ItemState
from freehold.web.pages import Pages
from freehold.web.sheet import render_sheet
from freehold.web.work import ProcedureWork
from tests.conftest import TemporalServer
from tests.web.pictures import link_of
from tests.web.site import make_sessions
from tests.web.test_pages import URL, buttons, key_of
from tests.workflows.rig import Rig, running_rig
from tests.workflows.test_install_hardware import SPARE, cables, checked, installing, plug, storeroom_hall

RUN = "install-acme-1"


@pytest.fixture
async def client(temporal: TemporalServer) -> Client:
    return await temporal.client()


@pytest.fixture
async def stored(client: Client, tmp_path: Path) -> AsyncIterator[Rig]:
    async with running_rig(client, tmp_path, storeroom_hall()) as made:
        yield made


async def test_a_swap_is_made_found_shown_and_cured_on_the_page(
    stored: Rig, temporal: TemporalServer, tmp_path: Path
) -> None:
    parent, child = await installing(stored)
    work, sessions = ProcedureWork(temporal.settings), make_sessions(tmp_path / "web")
    app = Pages(work, stored.inventory.hall, sessions).app
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL, follow_redirects=True) as http:

        async def tap(ids: tuple[str, ...]) -> str:
            page = (await http.get(f"/runs/{RUN}")).text
            answer = await http.post(
                f"/runs/{RUN}", data={"form_key": key_of(page), "done": buttons(page)[" ".join(ids)]}
            )
            assert answer.status_code == 200, answer.text
            return answer.text

        await http.get(link_of(sessions))
        found = await work.checklist(RUN)
        one, two, three = (item.cable for item in cables(found))
        assert one and two and three
        stored.devices.plug(str(one.a), str(two.b), one.label)
        stored.devices.plug(str(two.a), str(one.b), two.label)
        plug(stored, three)
        stored.devices.power(SPARE)

        assert f"{len(found.items)} noted as done" in await tap(tuple(item.id for item in found.items))
        again = await checked(child, lambda seen: any(item.issue > 1 for item in seen.items))
        wrong = [item for item in again.items if item.state is ItemState.OPEN]
        assert [item.cable for item in wrong] == [one, two]
        page = (await http.get(f"/runs/{RUN}")).text
        assert "Do again first" in page and "<polygon" in page and "4 of 6 verified" in page
        assert "acme-1" in (await http.get("/")).text
        pdf = render_sheet(stored.inventory.hall(), again, run=RUN, base_url=URL, at=datetime(2025, 3, 4, tzinfo=UTC))
        assert pdf.startswith(b"%PDF")

        for cable in (one, two):
            stored.devices.unplug(str(cable.a))
        for cable in (one, two):
            plug(stored, cable)
        await tap((wrong[0].id,))
        await checked(child, lambda seen: sum(item.state is ItemState.VERIFIED for item in seen.items) >= 5)
        await tap((wrong[1].id,))
        assert (await child.result()).outcome == "installed"
        assert (await parent.result()).outcome == "active"

    history = await child.fetch_history()
    updates = [
        event.workflow_execution_update_accepted_event_attributes.accepted_request.meta.identity
        for event in history.events
        if event.HasField("workflow_execution_update_accepted_event_attributes")
    ]
    assert updates == ["tess"] * 3


async def test_the_command_prints_and_refusals_come_back_in_words(
    stored: Rig, temporal: TemporalServer, tmp_path: Path
) -> None:
    parent, child = await installing(stored)
    pdf = tmp_path / "work-order.pdf"
    settings = stored.parts.settings.model_copy(update={"temporal_port": temporal.settings.temporal_port})
    command = [sys.executable, "-m", "freehold.cli.main", "checklist", "print", RUN, "--output", str(pdf)]
    environment = os.environ | settings.environment()
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0 and f"6 items of {RUN}" in done.stdout, done
    assert pdf.read_bytes().startswith(b"%PDF")

    work = ProcedureWork(temporal.settings)
    with pytest.raises(BadInput, match="no item 'rack:srv-99'"):
        await work.confirm(RUN, ConfirmItems(operator="tess", done=("rack:srv-99",)), "tess")
    with pytest.raises(NotFound, match="no procedure"):
        await work.checklist("install-nothing")
    with pytest.raises(NotFound):
        await work.confirm("install-nothing", ConfirmItems(operator="tess", done=("all",)), "tess")
    with pytest.raises(NotFound, match="no work for hands"):
        await work.checklist(parent.id)
    await child.execute_update("abort", {"operator": "olga"})
    await child.result()
