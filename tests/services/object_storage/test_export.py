"""The last export: all objects in tar files of a folder, complete and right or refused, also after a kill."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from freehold.errors import ProofFailed
from freehold.models.change import Round
from freehold.models.contents import ExportTarget
from freehold.services.base import Service
from freehold.services.object_storage import exporting
from freehold.services.object_storage.errands import export, finish
from tests.lab.client.s3_server import Fault, Store, Version, s3_server
from tests.services.object_storage.conftest import make_plan
from tests.services.object_storage.test_way import HALL_OF_NINE

PLAN = make_plan(HALL_OF_NINE)
BODIES = {"a": b"1" * 5000, "a/b": b"", "folder/": b"marker", "größe": b"2" * 70_000, "z" * 900: b"long"}
BODIES |= {"öffnen/": b"", "y" * 150 + "/": b"a long marker"}


class Host:
    """A host of the customer, and the endpoint that it reaches."""

    def __init__(self, store: Store, given: dict[str, str], folder: Path, capsys: Any, monkeypatch: Any) -> None:
        self.store, self.given, self.target = store, given, ExportTarget(host="acme-host", folder=str(folder))
        self.folder = folder / PLAN.instance
        self._capsys, self._monkeypatch = capsys, monkeypatch

    def put(self, bucket: str, bodies: dict[str, bytes]) -> None:
        kept = self.store.buckets.setdefault(bucket, {})
        kept.update({key: [Version(body, "digest")] for key, body in bodies.items()})

    def round(self, **changed: Any) -> Round:
        errand = exporting.errand(PLAN, self.given, self.target)
        given = json.dumps({**errand.given, **changed})
        self._monkeypatch.setattr(sys, "stdin", io.StringIO(given))
        export.main()
        return exporting.judge(PLAN, self.target, json.loads(self._capsys.readouterr().out))

    def read(self, bucket: str) -> dict[str, bytes]:
        found = {}
        for path in sorted(self.folder.glob(f"{bucket}.*.tar")):
            with tarfile.open(path) as file:
                rows = [(m, body) for m in file if (body := file.extractfile(m))]
                found |= {m.pax_headers.get("path", m.name): body.read() for m, body in rows}
        return found


@pytest.fixture
def host(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    with s3_server() as (store, given):
        client = boto3.client  # the address is plain HTTP here, so there is no certificate to check
        monkeypatch.setattr(export.boto3, "client", lambda *a, **k: client(*a, **{**k, "verify": None}))
        host = Host(store, given, tmp_path, capsys, monkeypatch)
        host.put("photos", BODIES)
        host.put("empty", {})
        yield host


def test_every_object_lies_in_the_folder_with_its_sums(host: Host) -> None:
    found = host.round()
    assert found.done and "all 7 objects (0.00 GiB) of acme-1 lie in acme-host:" in found.words
    assert host.read("photos") == BODIES
    checked = subprocess.run(["sha256sum", "--check", "--strict", export.SUMS], cwd=host.folder, check=False)
    assert checked.returncode == 0, "customers check it with what every system has"
    rows = [json.loads(line) for line in (host.folder / "photos.000001.jsonl").read_text().splitlines()]
    assert [r["key"] for r in rows] == sorted(BODIES) and rows[0]["metadata"] == {"digest": "digest"}
    assert found.observed["buckets"]["buckets"]["photos"] == {"objects": 7, "bytes": 75_023, "volumes": 1}
    assert host.round().done, "once more finds nothing to do"


def test_processes_that_serve_what_began_before_a_change_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = tmp_path / "haproxy.cfg"
    changed.touch()
    with subprocess.Popen(["/bin/sh", "-c", "sleep 60 & wait"], start_new_session=True) as main:
        try:
            told = subprocess.CompletedProcess((), 0, f"{main.pid}\n")
            monkeypatch.setattr(finish.subprocess, "run", lambda *_, **__: told)
            counted = []
            while not finish.descendants(main.pid, dict(finish.running())):
                time.sleep(0.01)
            for of in (time.time() + 60, time.time() - 60):
                os.utime(changed, (of, of))
                counted.append(finish.old_processes("haproxy.service", str(changed)))
        finally:
            os.killpg(main.pid, signal.SIGKILL)
    assert counted == [1, 0], "the first process of a unit stays the same"


def test_it_goes_on_where_a_round_ended_or_was_killed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "VOLUME_OBJECTS", 2)
    whole, volumes = export.Export.read_back, []

    def killed(self: Any, tar: Path, rows: Any) -> None:
        volumes.append(tar.name)
        if len(volumes) == 2:
            raise SystemExit(9)
        whole(self, tar, rows)

    monkeypatch.setattr(export.Export, "read_back", killed)
    with pytest.raises(SystemExit):
        host.round()
    with (host.folder / export.SUMS).open("a") as file:
        file.write("0000  photos.0000")  # cut off in the middle of a line
    assert not host.round(round_s=0).done
    assert host.round().done
    assert volumes == [f"photos.{n:06}.tar" for n in (1, 2, 2, 3, 4)]
    assert host.read("photos") == BODIES


@pytest.mark.parametrize("fault", [Fault.CORRUPT, Fault.FORGET])
def test_what_comes_wrong_is_no_export(host: Host, fault: Fault) -> None:
    host.store.misbehave(fault, only="a")
    with pytest.raises(ProofFailed, match=r"^acme-host:/"):
        host.round()
    host.store.behave()
    assert host.round().done


def test_a_folder_of_something_else_is_refused(host: Host) -> None:
    assert host.round().done
    host.put("photos", {"a": b"written later"})
    with pytest.raises(ProofFailed, match="holds something else of bucket photos"):
        host.round()


def test_a_file_that_went_away_is_missed(host: Host) -> None:
    assert host.round().done
    (host.folder / "photos.000001.tar").unlink()
    with pytest.raises(ProofFailed, match="is not there any more"):
        host.round()


def test_a_full_disk_is_said_before_anything_is_written(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "SPARE", 1e12)
    with pytest.raises(ProofFailed, match=r"GiB free; .* are needed"):
        host.round()
    assert not list(host.folder.iterdir())


def test_frozen_proxies_refuse_writes_and_nothing_else_changes(storage: Service) -> None:
    (frozen,), whole = storage.frozen(PLAN), storage.stages(PLAN)[-1].intents[0]
    conf, endpoint = "/etc/swift/freehold/proxy-server.conf", "/etc/haproxy/haproxy.cfg"
    wanted = {f.path: f.content for f in whole.files}
    differing = {f.path for f in frozen.files if wanted[f.path] != f.content}
    assert (differing, frozen.units) == ({conf, endpoint}, whole.units)
    text = next(f.content for f in frozen.files if f.path == conf)
    assert "read_only proxy-server" in text and "read_only = true" in text
    assert "read_only" not in wanted[conf]
