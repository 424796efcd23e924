"""Effects on Prometheus: which instances it scrapes."""

from __future__ import annotations

from temporalio import activity

from freehold.inventory import Inventory
from freehold.models.work import Changed, PlanRef
from freehold.services import service
from freehold.services.base import MetricsTarget
from freehold.settings import Settings
from freehold.stack.targets import TargetGroup, remove_targets, write_targets


class MetricsActivities:
    """Holds the settings, which name the folder that Prometheus watches."""

    def __init__(self, inventory: Inventory, settings: Settings) -> None:
        self._inventory, self._settings = inventory, settings

    @activity.defn
    def watch(self, given: PlanRef) -> Changed:
        """Let Prometheus scrape the instance. The same targets written again change nothing."""
        plan = self._inventory.instance(given.instance).newest
        targets = service(plan.request.service).targets(plan)
        groups = [_group(target) for target in targets]
        return Changed(changed=write_targets(self._settings, given.instance, groups).changed)

    @activity.defn
    def unwatch(self, given: PlanRef) -> Changed:
        """Stop scraping the instance."""
        return Changed(changed=remove_targets(self._settings, given.instance).changed)


def _group(target: MetricsTarget) -> TargetGroup:
    return TargetGroup(targets=(target.address,), labels={**target.labels, "__metrics_path__": target.path})
