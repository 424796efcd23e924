"""A compact instance in use on a real machine: it gets more programs, is asked what it holds, and is exported.

The tests tell one story and run in the order of the file.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from activities.data import Answer, answers_of
from freehold.models.change import Round
from freehold.models.contents import Contents, ExportTarget
from freehold.models.plan import Plan
from freehold.services.base import Errand
from tests.services.object_storage.conftest import CUSTOMER_HOST, SERVER, Bench
from tests.services.object_storage.test_in_lab import shell

pytestmark = [pytest.mark.lab, pytest.mark.slow]

_CUSTOMER = """
import json, os, sys, tempfile, time
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
given = json.load(sys.stdin)
authority = tempfile.NamedTemporaryFile("w", suffix=".pem")
authority.write(given["ca_certificate"])
authority.flush()
s3 = boto3.client(
    "s3", endpoint_url=given["endpoint_url"], region_name=given["region"], verify=authority.name,
    aws_access_key_id=given["access_key_id"], aws_secret_access_key=given["secret_access_key"],
    config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
)
seen = {}
"""


@pytest.fixture(scope="module", autouse=True)
def up(bench: Bench) -> Iterator[None]:
    """As procedures hand it over: proven to serve before the first customer comes."""
    whole = bench.service.stages(bench.plan)[-1].intents[0]
    with bench.session(SERVER) as server:
        server.apply(whole)
    seen = bench.observe(bench.customer_probe())
    assert seen["ok"], seen
    yield
    with bench.session(SERVER) as server:
        server.remove(whole)
        assert server.erase("vdb").clean


def customer(bench: Bench, does: str, **given: Any) -> dict[str, Any]:
    """Run a piece of program on the customer's host, without retries; it fills `seen`."""
    with bench.session(CUSTOMER_HOST) as host:
        credentials = bench.service.credentials(bench.plan)
        return host.run(f"{_CUSTOMER}{does}\nprint(json.dumps(seen))", {**credentials, **given}, 120)


def asked_for(bench: Bench, **changes: Any) -> Plan:
    return bench.plan.model_copy(update={"request": bench.plan.request.model_copy(update=changes)})


def test_more_workers_take_over_without_a_failed_request(bench: Bench) -> None:
    """Reloads, one after the other, from one worker to two and back, under a customer who tries nothing twice."""
    does = """
s3.create_bucket(Bucket="steady")
end, seen["requests"], seen["failed"] = time.monotonic() + given["seconds"], 0, []
while time.monotonic() < end:
    for act in (lambda: s3.put_object(Bucket="steady", Key="k", Body=b"x" * 5000),
                lambda: s3.get_object(Bucket="steady", Key="k")["Body"].read()):
        seen["requests"] += 1
        try:
            act()
        except Exception as error:
            seen["failed"].append(repr(error)[:200])
s3.delete_object(Bucket="steady", Key="k")
s3.delete_bucket(Bucket="steady")
"""
    rates = (120, None, 120, None)
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(customer, bench, does, seconds=40)
        time.sleep(3)
        for rate in rates:
            intent = bench.service.stages(asked_for(bench, requests_per_s=rate))[-1].intents[0]
            with bench.session(SERVER) as server:
                diff = server.apply(intent).diff
            assert "~ unit swift-proxy.service: reload" in diff
            _, workers = shell(bench, SERVER, "pgrep -c -P $(systemctl show -P MainPID swift-proxy.service)")
            assert int(workers) >= (2 if rate else 1)
        seen = told.result()
    assert seen["requests"] > 100
    assert seen["failed"] == [], seen


def test_what_customers_keep_and_use_is_found_out(bench: Bench) -> None:
    featured = asked_for(bench, features=("versioning", "static-sites", "quotas"))
    with bench.session(SERVER) as server:
        server.apply(bench.service.stages(featured)[-1].intents[0])
    customer(
        bench,
        """
for name in ("plain", "kept"):
    s3.create_bucket(Bucket=name)
s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
for body in (b"1" * 1000, b"2" * 3000):
    s3.put_object(Bucket="kept", Key="k", Body=body)
part = os.urandom(5 << 20)
upload = s3.create_multipart_upload(Bucket="plain", Key="a/large")["UploadId"]
where = {"Bucket": "plain", "Key": "a/large", "UploadId": upload}
tags = [s3.upload_part(**where, PartNumber=n, Body=part)["ETag"] for n in (1, 2)]
s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [
    {"PartNumber": n, "ETag": tag} for n, tag in enumerate(tags, 1)]})
s3.put_object(Bucket="plain", Key="a", Body=b"small", Metadata={"colour": "grey"})
""",
    )
    found = surveyed(bench)
    assert {p.name: p.objects for p in found.parts} == {"bucket kept": 1, "bucket plain": 2}
    sizes = {p.name: p.size_bytes for p in found.parts}
    assert 5 <= sizes["bucket plain"] - (10 << 20) < 2000, "the parts, the small one, and the list of parts"
    assert 4000 <= sizes["bucket kept"] < 8000, "both versions"
    assert found.users("versioning") == ("bucket kept",)
    assert not found.users("quotas") and not found.users("static-sites")
    customer(bench, 's3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Suspended"})')
    assert surveyed(bench).users("versioning") == ("bucket kept",), "older versions are there yet"
    customer(
        bench,
        """
for row in s3.list_object_versions(Bucket="kept").get("Versions", []):
    s3.delete_object(Bucket="kept", Key=row["Key"], VersionId=row["VersionId"])
""",
    )
    assert not surveyed(bench).users("versioning")
    with bench.session(SERVER) as server:
        server.apply(bench.service.stages(bench.plan)[-1].intents[0])


def test_a_frozen_instance_is_exported_and_thawed(bench: Bench) -> None:
    """With all of an upload that began before and ends behind it."""
    slow = """
import http.client, ssl, urllib.parse
url = urllib.parse.urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": "plain", "Key": "slow"}))
connection = http.client.HTTPSConnection(url.netloc, context=ssl.create_default_context(cafile=authority.name))
def body():
    for _ in range(given["blocks"]):
        yield b"s" * 10_000
        time.sleep(0.25)
size = {"Content-Length": str(given["blocks"] * 10_000)}
connection.request("PUT", f"{url.path}?{url.query}", body=body(), headers=size)
seen["status"] = connection.getresponse().status
"""
    with ThreadPoolExecutor(1) as pool:
        uploaded = pool.submit(customer, bench, slow, blocks=80)
        connections = f"ss -Htn state established sport = :{bench.plan.endpoint.port} | grep -c ."
        while shell(bench, SERVER, connections)[1].strip() == "0":
            assert not uploaded.done(), uploaded.result()
        with bench.session(SERVER) as server:
            diff = server.apply(bench.service.frozen(bench.plan)[0]).diff
        found = writes_finished(bench, patience_s=0)
        assert not found.done and "srv-1 still serves requests that began before" in found.words, found.words
        assert uploaded.result() == {"status": 200}
    found = writes_finished(bench)
    assert found.done, found.words
    assert [line for line in diff.splitlines() if line.startswith("~ unit")] == [
        "~ unit swift-proxy.service: reload",
        "~ unit haproxy.service: reload",
    ]
    refused = """
for name, act in {
    "put": lambda: s3.put_object(Bucket="plain", Key="late", Body=b"x"),
    "delete": lambda: s3.delete_object(Bucket="plain", Key="a"),
    "bucket": lambda: s3.create_bucket(Bucket="late"),
    "upload": lambda: s3.create_multipart_upload(Bucket="plain", Key="late"),
}.items():
    try:
        act()
        seen[name] = 200
    except ClientError as error:
        seen[name] = error.response["ResponseMetadata"]["HTTPStatusCode"]
    # A refused upload ends its connection, for its body was not read; the answer says so, and no request is lost.
    seen[f"read after {name}"] = s3.get_object(Bucket="plain", Key="a")["Body"].read().decode()
"""
    acts = ("put", "delete", "bucket", "upload")
    expected = {**dict.fromkeys(acts, 403), **{f"read after {act}": "small" for act in acts}}
    assert customer(bench, refused) == expected
    target = ExportTarget(host=CUSTOMER_HOST, folder="/srv/export")
    errand = bench.service.export(bench.plan, target)
    with bench.session(errand.server) as host:
        answer = host.run(errand.script, errand.given, 120)
    assert bench.secrets.get("instances/acme-1/s3-key") not in json.dumps(answer)
    found = bench.service.exported(bench.plan, target, answer)
    assert found.done, found.words
    code, said = shell(
        bench, CUSTOMER_HOST, "cd /srv/export/acme-1 && sha256sum --check SHA256SUMS && tar -tf plain.*.tar"
    )
    assert code == 0 and said.split()[-3:] == ["a", "a/large", "slow"], said
    with bench.session(SERVER) as server:
        server.apply(bench.service.stages(bench.plan)[-1].intents[0])
    customer(
        bench,
        """
s3.put_object(Bucket="plain", Key="late", Body=b"x")
for name in ("plain", "kept"):
    for row in s3.list_objects_v2(Bucket=name).get("Contents", []):
        s3.delete_object(Bucket=name, Key=row["Key"])
    s3.delete_bucket(Bucket=name)
""",
    )
    assert shell(bench, CUSTOMER_HOST, "rm -r /srv/export")[0] == 0


def writes_finished(bench: Bench, **changed: Any) -> Round:
    def run(errand: Errand) -> tuple[str, Answer]:
        with bench.session(errand.server) as server:
            return errand.server, server.run(errand.script, {**errand.given, **changed}, 120)

    return bench.service.writes_finished(answers_of(bench.service.finish_writes(bench.plan), run))


def surveyed(bench: Bench) -> Contents:
    (errand,) = bench.service.survey(bench.plan)
    with bench.session(errand.server) as server:
        return bench.service.contents(server.run(errand.script, errand.given, 120))
