"""No secret of an instance in what Freehold and Temporal write down: histories, views, logs, evidence, databases."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from temporalio.client import Client

from freehold.devices.simulated import SimulatedServer
from freehold.logs import configure_logs
from freehold.secrets import resolve
from freehold.settings import LogLevel
from tests.conftest import TemporalServer
from tests.workflows.rig import Rig, running_rig, view


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything that is logged, down to the finest level."""
    root, configured = logging.getLogger(), structlog.get_config()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure_logs(LogLevel.debug, stream=stream, as_json=True)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**configured)


async def test_secrets_stay_out(
    temporal: TemporalServer, client: Client, tmp_path: Path, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: set[str] = set()

    async with running_rig(client, tmp_path) as rig:
        apply = SimulatedServer.apply

        def with_secrets(self: SimulatedServer, *given: object) -> object:
            """As a real server: what is written to it holds the secrets themselves."""
            text = resolve(str(given[0]), rig.parts.secrets)
            used.update(n for n in rig.parts.secrets.names("instances/") if rig.parts.secrets.get(n) in text)
            return apply(self, *given)  # type: ignore[arg-type]

        monkeypatch.setattr(SimulatedServer, "apply", with_secrets)
        provisioning = await rig.provision()
        assert (await rig.approved(provisioning)).outcome == "active"
        names = rig.parts.secrets.names("instances/acme-1/")
        assert len(names) >= 4 and used, "there are secrets, and servers were given some"
        needles = {name: _needles(rig, name) for name in (*names, "authority/key")}
        shown = (await view(provisioning)).model_dump_json()
        ending = await rig.decommission()
        assert (await rig.approved(ending)).outcome == "gone"
        evidence = "".join(e.model_dump_json() for e in rig.inventory.evidence("acme-1"))

        places = {"view": shown.encode(), "evidence": evidence.encode(), "log": logged.getvalue().encode()}
        runs = client.list_workflows(f"TaskQueue = '{rig.parts.settings.task_queue}'")
        async for run in runs:
            handle = client.get_workflow_handle(run.id, run_id=run.run_id)
            described = await handle.describe()
            details = await handle.query("__temporal_workflow_metadata")
            history = await handle.fetch_history()
            places[f"history of {run.id}"] = b"".join(event.SerializeToString() for event in history.events)
            places[f"readable history of {run.id}"] = history.to_json().encode()
            places[f"description of {run.id}"] = described.raw_description.SerializeToString() + str(details).encode()
    places |= _files(temporal.settings.home / "temporal") | _files(tmp_path)

    assert {"freehold.db", "temporal.db"} <= places.keys()
    assert any(name.startswith("history of switch-") for name in places)
    assert b"provision-acme-1" in places["temporal.db"] + places.get("temporal.db-wal", b"")
    for forms in needles.values():
        for form in forms:
            assert _found({"": forms}, {"": b"before" + form + b"after"}), "the search finds what is there"
    assert not _found(needles, places)


def _found(needles: dict[str, list[bytes]], places: dict[str, bytes]) -> list[tuple[str, str]]:
    return [
        (name, place)
        for name, forms in needles.items()
        for place, text in places.items()
        if any(form in text for form in forms)
    ]


def _files(folder: Path) -> dict[str, bytes]:
    """All files but the secret store itself."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("secrets."))
    return {path.name: path.read_bytes() for path in files}


def _needles(rig: Rig, name: str) -> list[bytes]:
    """The secret, in every form in which it could have been written down; of a certificate, its private key."""
    whole = rig.parts.secrets.get(name)
    value = whole.partition("-----END PRIVATE KEY-----")[0]
    lines = [line for line in value.splitlines() if len(line) > 20 and not line.startswith("-----")]
    # In base64 it looks different at each of three offsets; the ends depend on what stands beside it.
    encoded = [base64.b64encode(b"_" * offset + value.encode())[4:-4] for offset in range(3)]
    return [*(line.encode() for line in lines), value.encode(), json.dumps(value)[1:-1].encode(), *encoded]
