"""Writes a file of JSON events as an Avro container file, by fastavro.

usage: container.py EVENTS.jsonl OUT.avro CODEC [ROWS]

CODEC is null or deflate; a block has about ROWS rows (default 1000).
"""

import json
import sys

import fastavro
from avro_schemas import avro_schemas

events, out, codec = sys.argv[1:4]
with open(events) as lines:
    events = [json.loads(line) for line in lines]
schema = fastavro.parse_schema(json.loads(avro_schemas(events)[0]))
# Micros, as the schema says.
rows = [{**event, "ts": event["ts"] * 1000} for event in events]
size = len(json.dumps(events[0])) * int((sys.argv[4:] or ["1000"])[0])
with open(out, "wb") as file:
    fastavro.writer(file, schema, rows, codec=codec, sync_interval=size)
