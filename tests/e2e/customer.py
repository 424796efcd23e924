"""Runs on a customer's host with nothing but plain boto3: reads tasks from standard input, answers each."""

import json
import socket
import ssl
import sys
import tempfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def main() -> None:
    answers = {}
    for name, task in json.load(sys.stdin).items():
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as authority:
            authority.write(task["ca_certificate"])
            authority.flush()
            try:
                answers[name] = (tls if "expect_name" in task else round_trip)(task, authority.name)
            except ClientError as error:
                answers[name] = f"refused: {error.response['Error']['Code']}"
            except Exception as error:
                answers[name] = f"failed: {type(error).__name__}: {error}"[:300]
    print(json.dumps(answers))


def round_trip(task: dict[str, str], authority: str) -> str:
    client = boto3.client(
        "s3",
        endpoint_url=task["endpoint_url"],
        region_name=task["region"],
        aws_access_key_id=task["access_key_id"],
        aws_secret_access_key=task["secret_access_key"],
        verify=authority,
        config=Config(connect_timeout=3, read_timeout=20, retries={"total_max_attempts": 1}),
    )
    client.create_bucket(Bucket="holiday")
    client.put_object(Bucket="holiday", Key="beach", Body=b"sand")
    read = client.get_object(Bucket="holiday", Key="beach")["Body"].read()
    listed = [item["Key"] for item in client.list_objects_v2(Bucket="holiday")["Contents"]]
    client.delete_object(Bucket="holiday", Key="beach")
    client.delete_bucket(Bucket="holiday")
    return "served" if (read, listed) == (b"sand", ["beach"]) else f"read {read!r}, listed {listed}"


def tls(task: dict[str, str], authority: str) -> str:
    """Take this endpoint for another one: its certificate must not be good for that name."""
    context = ssl.create_default_context(cafile=authority)
    address = task["endpoint_url"].removeprefix("https://")
    raw = socket.create_connection((address, 443), timeout=5)
    with context.wrap_socket(raw, server_hostname=task["expect_name"]) as connection:
        return f"served: {connection.version()}"


main()
