"""One pass: read every body, compare it with what was promised when it was stored, put broken objects aside."""

import time

from eventlet import sleep
from swift.common.exceptions import (
    DiskFileCollision,
    DiskFileDeleted,
    DiskFileDeviceUnavailable,
    DiskFileNotExist,
    DiskFileQuarantined,
)
from swift.common.storage_policy import POLICIES
from swift.common.swob import HTTPException

from . import objects
from .manager import Router
from .reader import BodyBroken

BATCH = 100


class Auditor:
    def __init__(self, conf, logger):
        self.logger = logger
        self.manager = Router(conf, logger).manager
        self.database = self.manager.database
        self.bytes_per_second = int(conf.get("bytes_per_second", 10_000_000))

    def run_once(self):
        summary = {"objects": 0, "bytes": 0, "quarantined": [], "failures": 0}
        for device, policy in self.database.run(objects.devices):
            for key, row in self._rows(device, policy):
                started = time.monotonic()
                try:
                    fault = self._fault(key, row)
                except (HTTPException, DiskFileDeviceUnavailable) as error:
                    self.logger.error("Object %s on %s was not audited: %s", key.hash, device, error)
                    summary["failures"] += 1
                    continue
                summary["objects"] += 1
                summary["bytes"] += row.size
                if fault:
                    summary["quarantined"].append({"device": device, "hash": key.hash, "reason": fault})
                self._rest(row.size, started)
        return summary

    def _rows(self, device, policy):
        after = ""
        while batch := self.database.run(objects.data_after, device, policy, after, BATCH):
            yield from batch
            after = batch[-1][0].hash

    def _fault(self, key, row):
        """Why the object was put aside. None if it is whole, or was replaced while it was read."""
        policy = POLICIES.get_by_index(key.policy) or POLICIES.legacy
        try:
            diskfile = self.manager.get_diskfile_from_hash(key.device, 0, key.hash, policy, open_expired=True)
            if diskfile.key.hash != key.hash:
                return self._aside(key, row, "the name does not have this hash")
            diskfile.open()
            for _ in diskfile.reader():
                pass
        except DiskFileCollision:
            return self._aside(key, row, "the metadata belongs to another name")
        except (DiskFileNotExist, DiskFileDeleted):
            return None
        except (DiskFileQuarantined, BodyBroken):
            pass
        return diskfile.fault

    def _aside(self, key, row, reason):
        return reason if self.manager.quarantine(key, row, reason) else None

    def _rest(self, size, started):
        if self.bytes_per_second:
            sleep(max(0, size / self.bytes_per_second - (time.monotonic() - started)))
        else:
            sleep()
