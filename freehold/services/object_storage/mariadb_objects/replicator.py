"""One pass: push what this server's MariaDB holds to the ring's primaries by SSYNC; as a handoff, forget it then."""

from eventlet import GreenPool, Timeout
from swift.common.exceptions import RingLoadError
from swift.common.ring import Ring
from swift.common.ring.utils import is_local_device
from swift.common.storage_policy import POLICIES
from swift.common.utils import whataremyips
from swift.obj.ssync_sender import Sender

from . import objects
from .collector import BATCH, until_none
from .manager import Router


class Session(Sender):
    """Swift's sender, which also tells how many objects it was asked for."""

    sent = 0

    def updates(self, connection, response, send_map):
        super().updates(connection, response, send_map)
        self.sent += len(send_map)


class Replicator:
    """What Swift's sender calls its daemon."""

    def __init__(self, conf, logger):
        self.logger = logger
        self.conn_timeout = float(conf.get("conn_timeout", 0.5))
        self.node_timeout = float(conf.get("node_timeout", 10))
        self.http_timeout = float(conf.get("http_timeout", 60))
        self.network_chunk_size = int(conf.get("network_chunk_size", 65536))
        self.concurrency = int(conf.get("concurrency", 4))
        self.swift_dir = conf.get("swift_dir", "/etc/swift")
        self.port = int(conf["bind_port"])
        self.ips = whataremyips(conf.get("ring_ip") or conf.get("bind_ip"))
        self._df_router = Router(conf, logger)
        self.manager = self._df_router.manager
        self.database = self.manager.database

    def run_once(self):
        """A whole pass with rings as they are on disk now. Its summary; `failures` counts what must be tried again."""
        self.summary = dict.fromkeys(("partitions", "sessions", "sent", "forgotten", "failures"), 0)
        # As a disk's replicator does: nobody is shown old tombstones any more, so no push would let them be forgotten.
        until_none(self.database, objects.reclaim_tombstones, self.manager.reclaim_age, BATCH)
        rings = {}
        pool = GreenPool(self.concurrency)
        for device, index, partition in self.database.run(objects.partitions):
            policy = POLICIES.get_by_index(index)
            if index not in rings:
                rings[index] = self._ring(policy)
            if policy is None or rings[index] is None:
                self.summary["failures"] += 1
                self.logger.error("No ring for policy %s: %s/%s stays here", index, device, partition)
                continue
            pool.spawn_n(self._guarded, rings[index], device, policy, partition)
        pool.waitall()
        return {**self.summary, "rows": self.database.run(objects.count)}

    def _ring(self, policy):
        try:
            return Ring(self.swift_dir, ring_name=policy.ring_name) if policy else None
        except (RingLoadError, OSError, ValueError) as error:
            self.logger.error("Ring of policy %s: %s", policy.name, error)
            return None

    def _guarded(self, ring, device, policy, partition):
        try:
            self._partition(ring, device, policy, partition)
        except (Exception, Timeout):
            self.summary["failures"] += 1
            self.logger.exception("Partition %s of %s", partition, device)

    def _partition(self, ring, device, policy, partition):
        self.summary["partitions"] += 1
        primaries = ring.get_part_nodes(partition)
        others = [node for node in primaries if not self._is_me(node, device)]
        pushed = [self._session(node, device, policy, partition) is not None for node in others]
        if len(others) < len(primaries) or not others or not all(pushed):
            return
        held = self._in_sync_everywhere(others, device, policy, partition)
        for hash_, timestamps in held.items():
            key = objects.Key(device, int(policy), hash_)
            # Not `+= run(...)`: that adds to what was before other greenthreads ran.
            forgotten = self.database.run(objects.forget, key, timestamps)
            self.summary["forgotten"] += forgotten

    def _in_sync_everywhere(self, nodes, device, policy, partition):
        """What each of the nodes says it has, asked again after all was pushed: a push alone is no proof."""
        offered = dict(self.manager.yield_hashes(device, partition, policy))
        for node in nodes:
            answer = self._session(node, device, policy, partition, only_check=set(offered)) or {}
            offered = {hash_: at for hash_, at in offered.items() if answer.get(hash_) == at}
        return offered

    def _session(self, node, device, policy, partition, only_check=None):
        """One SSYNC session; the objects in sync after it, or None if it failed."""
        suffixes = sorted({hash_[-3:] for hash_, _ in self.manager.yield_hashes(device, partition, policy)})
        job = {"device": device, "partition": partition, "policy": policy}
        session = Session(self, node, job, suffixes, remote_check_objs=only_check)
        ok, in_sync = session()
        self.summary["sessions"] += 1
        self.summary["sent"] += session.sent
        self.summary["failures"] += not ok
        return in_sync if ok else None

    def _is_me(self, node, device):
        """By the port where it serves or the one where it receives, whichever the configuration is of: who took itself
        for another would forget what it alone has."""
        places = ((node["ip"], node["port"]), (node["replication_ip"], node["replication_port"]))
        return node["device"] == device and any(is_local_device(self.ips, self.port, *place) for place in places)
