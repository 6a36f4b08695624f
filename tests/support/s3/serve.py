"""An S3 server on loopback with the bucket `lake`: writes its URL as the first line, and runs until it is killed."""

from __future__ import annotations

import threading

import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
url = f"http://{host}:{port}"
keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
boto3.client("s3", endpoint_url=url, **keys).create_bucket(Bucket="lake")
print(url, flush=True)
threading.Event().wait()
