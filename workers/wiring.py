"""Which workflows and activities exist, and what the activities hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from pydantic import ValidationError
from temporalio.client import Client
from temporalio.common import WorkerDeploymentVersion
from temporalio.worker import Worker, WorkerDeploymentConfig

from activities.cabling import CablingActivities
from activities.data import DataActivities
from activities.identities import IdentityActivities
from activities.installation import InstallationActivities
from activities.inventory import InventoryActivities
from activities.metrics import MetricsActivities
from activities.notices import NoticeActivities
from activities.removal import RemovalActivities
from activities.scaling import ScalingActivities
from activities.servers import ServerActivities
from activities.service import ServiceActivities
from activities.switches import SwitchActivities
from freehold.devices.base import Devices, Secrets
from freehold.inventory import Inventory
from freehold.policy import Policies
from freehold.scaling import ScalingRules
from freehold.services import load_all
from freehold.settings import Settings
from freehold.web.accounts import Accounts
from workers.interceptor import Around
from workers.sandbox import sandbox
from workflows.consolidate_data import ConsolidateData
from workflows.decommission_instance import DecommissionInstance
from workflows.evaluate_scaling import EvaluateScaling
from workflows.install_hardware import InstallHardware
from workflows.provision_instance import ProvisionInstance
from workflows.recommend_scaling import RecommendScaling
from workflows.remove_hardware import RemoveHardware
from workflows.scale_down import ScaleDown
from workflows.scale_up import ScaleUp
from workflows.switch_session import SwitchSession
from workflows.watch_cables import WatchCables

WORKFLOWS: Sequence[type] = (
    ProvisionInstance,
    ScaleUp,
    ScaleDown,
    ConsolidateData,
    DecommissionInstance,
    InstallHardware,
    RemoveHardware,
    SwitchSession,
    WatchCables,
    EvaluateScaling,
    RecommendScaling,
)
FAILING: Sequence[type[BaseException]] = (ValidationError,)
"""Errors that fail a run at once instead of blocking it."""
RELEASE = WorkerDeploymentConfig(WorkerDeploymentVersion("freehold", version("freehold")), use_worker_versioning=False)
"""What histories say did the work. Without it the SDK reads and hashes every module at each start: 40 % of its time."""

THREADS = 32
"""Sessions with devices at the same time, in one worker process."""

WORKFLOW_TASKS = 8
"""Workflow tasks at the same time: Python runs one of them anyway, and each must answer within two seconds."""

OPTIONS: Mapping[str, Any] = {
    "max_concurrent_activities": THREADS,
    "max_concurrent_workflow_tasks": WORKFLOW_TASKS,
    "workflow_runner": sandbox("workflows"),
    "workflow_failure_exception_types": FAILING,
    # A dead worker's runs wait no longer than this for it.
    "sticky_queue_schedule_to_start_timeout": timedelta(seconds=3),
    "graceful_shutdown_timeout": timedelta(seconds=5),
    "deployment_config": RELEASE,
}
"""How a worker works, whatever its work is."""


@dataclass(frozen=True)
class Parts:
    """What the activities hold; tests put other parts in."""

    settings: Settings
    inventory: Inventory
    secrets: Secrets
    devices: Devices
    cable_settle_s: float | None = None
    server_answers_s: float | None = None


def activities(parts: Parts, client: Client) -> list[Callable[..., Any]]:
    """Every activity, as bound methods of the objects that hold what they need."""
    settings, inventory, devices = parts.settings, parts.inventory, parts.devices
    policies = Policies(settings.policies_file)
    settle = {} if parts.cable_settle_s is None else {"settle_s": parts.cable_settle_s}
    answers = {} if parts.server_answers_s is None else {"answers_s": parts.server_answers_s}
    silent = {} if parts.server_answers_s is None else {"silent_s": parts.server_answers_s}
    holders = (
        InventoryActivities(inventory, policies),
        SwitchActivities(devices, inventory, client, settings.task_queue),
        ServerActivities(devices, inventory),
        CablingActivities(devices, inventory, **settle),
        InstallationActivities(devices, inventory, policies, **answers),
        RemovalActivities(devices, inventory, policies, **settle, **silent),
        DataActivities(devices, inventory),
        ServiceActivities(devices, inventory, parts.secrets),
        MetricsActivities(inventory, settings),
        ScalingActivities(inventory, ScalingRules(settings.scaling_file), settings, client),
        NoticeActivities(settings, policies, parts.secrets),
        IdentityActivities(client, Accounts(settings.accounts_file), policies),
    )
    return [
        method
        for holder in holders
        for name in dir(holder)
        if hasattr(method := getattr(holder, name), "__temporal_activity_definition")
    ]


def make_worker(client: Client, parts: Parts, **options: Any) -> Worker:
    """One worker for everything."""
    load_all()
    return Worker(
        client,
        task_queue=parts.settings.task_queue,
        workflows=WORKFLOWS,
        activities=activities(parts, client),
        activity_executor=ThreadPoolExecutor(THREADS, thread_name_prefix="activity"),
        **{"interceptors": [Around()], **OPTIONS, **options},
    )
