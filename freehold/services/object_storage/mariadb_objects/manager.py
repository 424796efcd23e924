"""The DiskFileManager that Swift's object server and SSYNC ask for diskfiles and hashes."""

import contextlib

from swift.common.exceptions import DiskFileDeviceUnavailable, DiskFileNotExist
from swift.common.storage_policy import POLICIES, REPL_POLICY
from swift.common.utils import md5
from swift.obj.diskfile import DiskFileManager

from . import objects
from .bodies import Leases
from .database import Database
from .diskfile import DiskFile


class Manager(DiskFileManager):
    """Inherits the check of the device's directory and the container updates that are pending in files below it."""

    diskfile_cls = DiskFile

    def __init__(self, conf, logger):
        super().__init__(conf, logger)
        self.database = Database(conf, logger)
        self.leases = Leases(self.database)

    def get_diskfile(self, device, partition, account, container, obj, policy, **kwargs):
        self._check(device)
        return self.diskfile_cls(self, device, partition, policy, account, container, obj, **kwargs)

    def get_diskfile_from_hash(self, device, partition, object_hash, policy, **kwargs):
        self._check(device)
        row = self.database.run(objects.get, objects.Key(device, int(policy), object_hash))
        if row is None or row.reclaimable(self.reclaim_age):
            raise DiskFileNotExist
        account, container, obj = row.name.decode("utf8", "surrogateescape")[1:].split("/", 2)
        return self.diskfile_cls(self, device, partition, policy, account, container, obj, **kwargs)

    def yield_hashes(self, device, partition, policy, suffixes=None, **_):
        for hash_, row in self._rows(device, partition, policy):
            if suffixes is None or hash_[-3:] in suffixes:
                yield hash_, row.timestamps()

    def get_hashes(self, device, partition, suffixes, policy, skip_rehash=False):
        """One hash per suffix, equal to what a disk with the same objects answers. None are cached."""
        if skip_rehash:
            return None
        hashes = {}
        for hash_, row in self._rows(device, partition, policy):
            suffix = hashes.setdefault(hash_[-3:], md5(usedforsecurity=False))
            if row.meta_timestamp:
                suffix.update(f"{row.meta_timestamp.internal}.meta".encode())
            suffix.update(f"{row.data_timestamp.internal}{'.ts' if row.tombstone else '.data'}".encode())
            if row.ctype_timestamp:
                suffix.update(f"{row.ctype_timestamp.internal}_ctype".encode())
        return {suffix: digest.hexdigest() for suffix, digest in hashes.items()}

    @contextlib.contextmanager
    def replication_lock(self, device, policy, partition):
        """No lock: transactions order what several senders do, and no lock files are left on the device."""
        yield True

    def quarantine(self, key, row, reason):
        """Put an object aside that was found broken. Whether it was still there to be put aside."""
        done = self.database.run(objects.quarantine, key, row.body, row.data_ts, reason)
        if done:
            self.logger.warning("Quarantined object %s on %s: %s", key.hash, key.device, reason)
            self.logger.increment("quarantines")
        return done

    def _check(self, device):
        if not self.get_dev_path(device):
            raise DiskFileDeviceUnavailable

    def _rows(self, device, partition, policy):
        self._check(device)
        rows = self.database.run(objects.partition_rows, device, int(policy), int(partition))
        # A disk removes old tombstones while it lists; here the collector does, but nobody is shown them any more.
        return [(hash_, row) for hash_, row in rows if not row.reclaimable(self.reclaim_age)]


class Router:
    """Stands where Swift's DiskFileRouter would: one manager for all replication policies."""

    def __init__(self, conf, logger):
        for policy in POLICIES:
            if policy.policy_type != REPL_POLICY:
                raise ValueError(
                    f"storage policy {policy.name} is of type {policy.policy_type}: only replication works"
                )
        self.manager = Manager(conf, logger)

    def __getitem__(self, policy):
        return self.manager
