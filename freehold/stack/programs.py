"""What `freehold up` keeps running, in the order in which it starts."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from freehold.errors import StackError
from freehold.settings import LOOPBACK, Settings
from freehold.stack import prometheus, temporal
from freehold.stack.binaries import Say, find_prometheus, find_temporal
from freehold.stack.client import connect, owns_server, ui_url

LOGIN_PAGE = "/freehold/login"
CHECK_TIMEOUT = timedelta(seconds=5)


@dataclass(frozen=True)
class Program:
    """A child of the supervisor.

    `ready` gets the time of the start; it raises as long as the program is not ready, and brings about what
    others rely on.
    """

    name: str
    command: tuple[str, ...]
    port: int
    ready: Callable[[datetime], Awaitable[None]]
    after: tuple[str, ...] = ()
    link: str | None = None
    stop_within: timedelta = timedelta(seconds=10)

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"


def programs(settings: Settings, say: Say) -> list[Program]:
    """The stack's programs, each found or fetched, with its files in place."""
    own = owns_server()
    stack = [_temporal(settings, say)] if own else []
    after = ("temporal",) if own else ()
    login = [_login(settings, after)] if ui_url(settings) else []
    return [*stack, _prometheus(settings, say), _workers(settings, after), *login, _web(settings, after)]


def _temporal(settings: Settings, say: Say) -> Program:
    return Program(
        name="temporal",
        command=temporal.server_command(settings, find_temporal(settings, say)),
        port=settings.temporal_port,
        ready=partial(prepare_own_server, settings),
        link=ui_url(settings),
    )


def _prometheus(settings: Settings, say: Say) -> Program:
    binary = find_prometheus(settings, say)
    prometheus.write_config(settings)
    return Program(
        name="prometheus",
        command=prometheus.server_command(settings, binary),
        port=settings.prometheus_port,
        ready=partial(http_ok, f"{settings.prometheus_url}/-/ready"),
        link=settings.prometheus_url,
    )


def _workers(settings: Settings, after: tuple[str, ...]) -> Program:
    if importlib.util.find_spec(settings.worker_module) is None:
        raise StackError(f"There is no Python module {settings.worker_module!r} to run as workers.")
    return Program(
        name="workers",
        command=(sys.executable, "-m", settings.worker_module),
        port=settings.worker_metrics_port,
        ready=partial(workers_poll, settings),
        after=after,
        stop_within=timedelta(seconds=20),
    )


def _login(settings: Settings, after: tuple[str, ...]) -> Program:
    """In front of the Temporal Web UI, which stays reachable on the loopback address without it."""
    address = f"http://{LOOPBACK}:{settings.login_port}"
    return Program(
        name="login",
        command=(sys.executable, "-m", "freehold.web.login"),
        port=settings.login_port,
        ready=partial(http_ok, f"{address}{LOGIN_PAGE}"),
        after=after,
        link=address,
    )


def _web(settings: Settings, after: tuple[str, ...]) -> Program:
    """The technicians' page."""
    return Program(
        name="web",
        command=(sys.executable, "-m", "freehold.web.main"),
        port=settings.web_port,
        ready=partial(http_ok, f"http://{LOOPBACK}:{settings.web_port}/health"),
        after=after,
        link=settings.page_url,
    )


async def prepare_own_server(settings: Settings, _started: datetime) -> None:
    client = await connect(settings, "freehold-stack")
    await temporal.ensure_retention(client, settings.temporal_retention_days)
    await temporal.ensure_search_attributes(client)


async def http_ok(url: str, _started: datetime) -> None:
    async with httpx.AsyncClient(timeout=CHECK_TIMEOUT.total_seconds(), trust_env=False) as http:
        (await http.get(url)).raise_for_status()


async def workers_poll(settings: Settings, started: datetime) -> None:
    """The metrics port answers and somebody has asked for work on our task queue since the start."""
    await http_ok(f"http://{LOOPBACK}:{settings.worker_metrics_port}/metrics", started)
    client = await connect(settings, "freehold-stack")
    if await last_poll(client, settings.task_queue) < started:
        raise StackError(f"No worker polls task queue {settings.task_queue}.")


async def last_poll(client: Client, task_queue: str) -> datetime:
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    found = await client.workflow_service.describe_task_queue(request, timeout=CHECK_TIMEOUT)
    polls = [poller.last_access_time.ToDatetime(UTC) for poller in found.pollers]
    return max(polls, default=datetime.min.replace(tzinfo=UTC))


async def port_open(port: int) -> bool:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT.total_seconds()):
            _, writer = await asyncio.open_connection(LOOPBACK, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
