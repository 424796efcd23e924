"""A customer's program: reads what `freehold instance credentials NAME --json` prints, and uses the endpoint."""

import json
import sys
import tempfile

import boto3

given = json.load(sys.stdin)
with tempfile.NamedTemporaryFile("w", suffix=".pem") as authority:
    authority.write(given["ca_certificate"])
    authority.flush()
    s3 = boto3.client(
        "s3",
        endpoint_url=given["endpoint_url"],
        region_name=given["region"],
        aws_access_key_id=given["access_key_id"],
        aws_secret_access_key=given["secret_access_key"],
        verify=authority.name,
    )
    s3.create_bucket(Bucket="letters")
    s3.put_object(Bucket="letters", Key="hello.txt", Body=b"hello from my own hardware")
    print([found["Key"] for found in s3.list_objects_v2(Bucket="letters")["Contents"]])
    print(s3.get_object(Bucket="letters", Key="hello.txt")["Body"].read().decode())
