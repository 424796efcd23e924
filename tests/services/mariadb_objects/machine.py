"""A throw-away Debian 13 with Swift and MariaDB, as it is on a storage server, in namespaces of its own.

Everything in it lives in memory or in the given folder, and dies with the program that made it, however that ends.
Its servers listen on loopback only.
"""

import contextlib
import json
import os
import shlex
import socket
import subprocess
import time
from pathlib import Path

import httpx

import freehold

PACKAGE = Path(freehold.__file__).parent / "services/object_storage/mariadb_objects"
INSTALLED = "usr/lib/python3/dist-packages/freehold_mariadb_objects"
PREFIX, SUFFIX = "testprefix", "testsuffix"


def image() -> Path:
    """The lab's base image, or the tree of the same packages that FREEHOLD_BASE_IMAGE names."""
    if path := os.environ.get("FREEHOLD_BASE_IMAGE"):
        return Path(path)
    from freehold.lab.image import base_image

    return base_image()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    def __init__(self, machine: "Machine", name: str, popen: subprocess.Popen[bytes]) -> None:
        self.machine, self.name, self.popen = machine, name, popen

    def kill(self, signal: str = "KILL") -> None:
        """Signal the program itself, not what carries it into the machine."""
        self.machine.run(f"kill -{signal} $(cat /run/test-{self.name}.pid)", check=False)
        self.popen.wait(20)

    @property
    def log(self) -> str:
        return self.machine.read(f"/var/log/test-{self.name}.log")


class Machine:
    def __init__(self, base: Path, work: Path, *, in_memory: bool = True) -> None:
        self.root = work / "root"
        upper = work / "upper"
        for path in (self.root, upper):
            path.mkdir(parents=True, exist_ok=True)
        size = "mount -t tmpfs -o size=3g none {upper};" if in_memory else ""
        script = (
            size + "mkdir -p {upper}/data {upper}/work;"
            "mount -t overlay none -o lowerdir={base},upperdir={upper}/data,workdir={upper}/work {root};"
            "mount -t proc none {root}/proc; mount --rbind /dev {root}/dev;"
            "mount -t tmpfs none {root}/run; mount -t tmpfs none {root}/tmp; chmod 1777 {root}/tmp;"
            "mkdir -p {root}/{installed}; mount --bind -o ro {package} {root}/{installed};"
            "echo ready; while :; do sleep 1000 & wait; done"
        ).format(upper=upper, base=base, root=self.root, installed=INSTALLED, package=PACKAGE)
        self._holder = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child=KILL",
             "sh", "-ec", script],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert self._holder.stdout
        line = self._holder.stdout.readline()
        if line != b"ready\n":
            self.close()
            raise RuntimeError(f"machine did not come up: {line!r} {self._holder.stdout.read()!r}")
        self._init = int(subprocess.check_output(["ps", "-o", "pid=", "--ppid", str(self._holder.pid)]))
        self._processes: list[Process] = []

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()
        for process in getattr(self, "_processes", []):
            process.popen.wait(20)

    # commands and files

    def _enter(self, command: str, user: str | None) -> list[str]:
        inside = ["runuser", "-u", user, "--"] if user else []
        return ["nsenter", "-t", str(self._init), "-m", "-p", "chroot", str(self.root), "env", "-i",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", *inside, "sh", "-c", command]  # fmt: skip

    def run(
        self, command: str, *, user: str | None = None, stdin: str = "", check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self._enter(command, user), input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and done.returncode:
            raise AssertionError(
                f"{command!r} ended with {done.returncode}: {done.stdout[-3000:]} {done.stderr[-3000:]}"
            )
        return done

    def talk(self, command: str, *, user: str | None = None) -> subprocess.Popen[bytes]:
        """A program that is spoken to while it runs."""
        return subprocess.Popen(self._enter(command, user), stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def start(self, name: str, command: str, *, user: str | None = None) -> Process:
        log = f"/var/log/test-{name}.log"
        self.run(f"touch {log} /run/test-{name}.pid; chmod 666 {log} /run/test-{name}.pid")
        command = f"echo $$ > /run/test-{name}.pid; exec {command} >> {log} 2>&1"
        popen = subprocess.Popen(self._enter(command, user), stdin=subprocess.DEVNULL)
        process = Process(self, name, popen)
        self._processes.append(process)
        return process

    def read(self, path: str) -> str:
        return self.run(f"cat {shlex.quote(path)}").stdout

    def write(self, path: str, content: str | bytes) -> None:
        data = content.encode() if isinstance(content, str) else content
        subprocess.run(
            self._enter(f"mkdir -p $(dirname {path}); cat > {path}; chmod 644 {path}", None), input=data, check=True
        )

    # MariaDB

    def start_mariadb(self, *options: str) -> Process:
        self.run("mkdir -p /run/mysqld && chown mysql /run/mysqld")
        server = self.start("mariadbd", f"mariadbd --user=mysql --skip-networking {' '.join(options)}")
        deadline = time.monotonic() + 40
        while self.run("mariadb -e 'SELECT 1'", check=False).returncode:
            assert server.popen.poll() is None, server.log[-3000:]
            assert time.monotonic() < deadline, server.log[-3000:]
            time.sleep(0.1)
        return server

    def sql(self, statement: str, database: str = "swift_objects") -> list[list[str]]:
        out = self.run(f"mariadb --batch --skip-column-names {database}", stdin=statement).stdout
        return [line.split("\t") for line in out.splitlines()]

    # Swift

    def configure(self, devices: list[tuple[str, int]], part_power: int = 2) -> None:
        """swift.conf, and an object ring of one replica per device with a weight; devices are (name, port)."""
        self.write("/etc/swift/swift.conf", f"[swift-hash]\nswift_hash_path_prefix = {PREFIX}\n"
                   f"swift_hash_path_suffix = {SUFFIX}\n[storage-policy:0]\nname = std\ndefault = yes\n")  # fmt: skip
        self.part_power = part_power
        self.ring([(name, port, 1.0) for name, port in devices])

    def ring(self, devices: list[tuple[str, int, float]], replication_port: int | None = None) -> None:
        from swift.common.ring import RingBuilder

        builder = RingBuilder(self.part_power, sum(1 for *_, weight in devices if weight) or 1, 0)
        for zone, (name, port, weight) in enumerate(devices):
            builder.add_dev(
                {"region": 1, "zone": zone, "ip": "127.0.0.1", "port": port, "device": name, "weight": weight,
                 "replication_ip": "127.0.0.1", "replication_port": replication_port or port, "meta": ""}
            )  # fmt: skip
        builder.rebalance(seed=1)
        path = self.root.parent / "object.ring.gz"
        builder.get_ring().save(str(path))
        self.write("/etc/swift/object.ring.gz", path.read_bytes())

    def object_server(self, kind: str, device: str, port: int, extra: str = "") -> Process:
        """Swift's object server of `kind` mariadb or disk for one device, answering."""
        app = (
            "paste.app_factory = freehold_mariadb_objects.server:app_factory"
            if kind == "mariadb"
            else "use = egg:swift#object"
        )
        self.write(f"/etc/swift/{device}.conf", f"""[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = swift
devices = /srv/{device}
mount_check = false
disable_fallocate = true
replication_concurrency = 24
replication_concurrency_per_device = 0
[pipeline:main]
pipeline = object-server
[app:object-server]
{app}
{extra}
[object-replicator]
sync_method = ssync
replicator_workers = 0
[object-auditor]
""")  # fmt: skip
        self.run(f"mkdir -p /srv/{device}/{device} /var/cache/swift; chown -R swift /srv/{device} /var/cache/swift")
        return self.restart_object_server(device, port)

    def restart_object_server(self, device: str, port: int) -> Process:
        server = self.start(device, f"swift-object-server /etc/swift/{device}.conf verbose", user="swift")
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(httpx.TransportError):
                httpx.request("OPTIONS", f"http://127.0.0.1:{port}/")
                return server
            assert server.popen.poll() is None, server.log[-3000:]
            assert time.monotonic() < deadline, server.log[-3000:]
            time.sleep(0.1)

    def command(self, name: str, device: str, *, check: bool = True) -> dict[str, object]:
        """Run one pass of a command of ours; its summary and exit code."""
        done = self.run(
            f"python3 -m freehold_mariadb_objects {name} /etc/swift/{device}.conf once --verbose", check=False
        )
        lines = (done.stderr if name == "manifest" else done.stdout).splitlines()
        summary = next((json.loads(line) for line in reversed(lines) if line.startswith('{"command"')), None)
        if summary is None or (check and done.returncode):
            raise AssertionError(f"{name} ended with {done.returncode}: {done.stdout[-3000:]} {done.stderr[-6000:]}")
        rows = [json.loads(line) for line in done.stdout.splitlines()] if name == "manifest" else None
        return {**summary, "exit": done.returncode, "listing": rows}

    def stock_replicator(self, device: str) -> None:
        self.run(f"swift-object-replicator /etc/swift/{device}.conf once", user="swift")
