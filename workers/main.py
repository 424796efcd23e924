"""The worker process: `python -m workers.main`. Runs until it is told to stop."""

from __future__ import annotations

import asyncio
import signal

import structlog

from freehold.authority import ensure_authority
from freehold.devices.real import RealDevices
from freehold.inventory import Inventory
from freehold.logs import configure_logs
from freehold.metrics.own import Gauges
from freehold.secrets import FileSecrets
from freehold.settings import Settings, load_settings
from freehold.stack.client import connect, metrics_runtime
from workers.examples import keep_examples
from workers.gauges import ProcedureGauges
from workers.schedules import keep_schedules
from workers.wiring import WORKFLOWS, Parts, make_worker

log = structlog.get_logger(__name__)


async def work(settings: Settings) -> None:
    secrets = FileSecrets(settings.secrets_file)
    ensure_authority(secrets)
    inventory = Inventory(settings.database_url)
    runtime = metrics_runtime(settings)
    client = await connect(settings, identity="freehold-worker", runtime=runtime)
    parts = Parts(settings=settings, inventory=inventory, secrets=secrets, devices=RealDevices(secrets))
    names = [workflow.__name__ for workflow in WORKFLOWS]
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with make_worker(client, parts):
        log.info("worker is ready", task_queue=settings.task_queue)
        beside = (
            asyncio.create_task(keep_examples(client, settings.task_queue, inventory)),
            asyncio.create_task(keep_schedules(client, settings)),
            asyncio.create_task(ProcedureGauges(client, Gauges(runtime.metric_meter), names).keep()),
        )
        await stop.wait()
        for task in beside:
            task.cancel()
    inventory.close()


def main() -> None:
    settings = load_settings()
    configure_logs(settings.log_level)
    asyncio.run(work(settings))


if __name__ == "__main__":
    main()
