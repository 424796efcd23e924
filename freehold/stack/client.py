"""The one way in which Freehold connects to Temporal: our own server, or the one that `TEMPORAL_*` names."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfigProfile, ClientConnectConfig
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError

from freehold.errors import BadInput, StackError
from freehold.settings import LOOPBACK, Settings
from freehold.stack.failures import ReadableFailures

DATA = replace(pydantic_data_converter, failure_converter_class=ReadableFailures)
CONNECT_TIMEOUT = timedelta(seconds=10)


def profile() -> ClientConfigProfile:
    """The standard Temporal profile: `TEMPORAL_*` variables over the profile file, when there is one."""
    try:
        return ClientConfigProfile.load()
    except RuntimeError as error:
        raise BadInput(f"The TEMPORAL_* settings cannot be used: {error}.") from error


def owns_server() -> bool:
    """Whether `freehold up` runs a Temporal server itself: nobody has named another one."""
    return not profile().address


def connection(settings: Settings) -> ClientConnectConfig:
    """Where to connect and how; what the profile does not say is our own server."""
    config = profile().to_client_connect_config()
    config.setdefault("target_host", f"{LOOPBACK}:{settings.temporal_port}")
    config.setdefault("namespace", settings.temporal_namespace)
    return config


async def connect(settings: Settings, identity: str | None = None, *, runtime: Runtime | None = None) -> Client:
    """Connect under `identity` (the operator's name by default), which Temporal records in every event."""
    config = connection(settings)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT.total_seconds()):
            return await Client.connect(
                **config,
                identity=identity or settings.identity,
                data_converter=DATA,
                runtime=runtime,
            )
    except (RuntimeError, RPCError, TimeoutError) as error:
        advice = "start it with `freehold up`" if owns_server() else "check TEMPORAL_ADDRESS and its like"
        reason = str(error) or f"no answer in {CONNECT_TIMEOUT.total_seconds():g} s"
        raise StackError(f"Temporal at {config['target_host']} does not answer ({reason}); {advice}.") from error


def metrics_runtime(settings: Settings) -> Runtime:
    """The SDK's runtime with its metrics on the workers' port; make one per process and pass it to `connect`."""
    return Runtime(
        telemetry=TelemetryConfig(
            metrics=PrometheusConfig(
                bind_address=f"{LOOPBACK}:{settings.worker_metrics_port}",
                counters_total_suffix=True,
                durations_as_seconds=True,
            )
        )
    )


def ui_url(settings: Settings) -> str | None:
    """The Web UI of the server in use; None when nobody has said where it is."""
    if settings.temporal_ui_url:
        return settings.temporal_ui_url.rstrip("/")
    return f"http://{LOOPBACK}:{settings.temporal_ui_port}" if owns_server() else None


def workflow_url(settings: Settings, workflow_id: str, run_id: str | None = None) -> str | None:
    """The page of one procedure in the Web UI."""
    if not (base := ui_url(settings)):
        return None
    page = f"{base}/namespaces/{connection(settings)['namespace']}/workflows/{quote(workflow_id, safe='')}"
    return f"{page}/{run_id}/history" if run_id else page
