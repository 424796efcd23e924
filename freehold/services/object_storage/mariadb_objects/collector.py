"""One pass: remove bodies that nobody needs, tombstones past their age, and what was quarantined long ago."""

from . import bodies, objects
from .manager import Router

BATCH = 100
DEFAULT_QUARANTINE_AGE = 30 * 24 * 3600


class Collector:
    def __init__(self, conf, logger):
        self.manager = Router(conf, logger).manager
        self.quarantine_age = int(conf.get("quarantine_age", DEFAULT_QUARANTINE_AGE))

    def run_once(self):
        return {
            "tombstones": self._all(objects.reclaim_tombstones, self.manager.reclaim_age, BATCH),
            "quarantined": self._all(objects.drop_quarantined, self.quarantine_age, BATCH),
            # One body a transaction: a large one is thousands of chunks.
            "bodies": self._all(bodies.collect, 1),
            "leased": self.manager.database.run(bodies.count_leased),
            "failures": 0,
        }

    def _all(self, work, *args):
        total = 0
        while done := self.manager.database.run(work, *args):
            total += done
        return total
