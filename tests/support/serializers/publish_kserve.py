"""Writes lines of kserve.py to a topic: requests and responses as CloudEvents in binary and structured mode, each into another partition than its other half.

usage: publish_kserve.py BROKERS TOPIC PARTITIONS HALVES.jsonl FROM TO

The lines from FROM on, before TO, are written in their order.
"""

import json
import sys
import zlib
from itertools import islice

from cloudevents.http import from_json
from cloudevents.kafka import to_binary, to_structured
from confluent_kafka import Producer

brokers, topic, partitions, halves, begin, end = sys.argv[1:]
partitions = int(partitions)
producer = Producer({"bootstrap.servers": brokers, "linger.ms": 50, "queue.buffering.max.messages": 1_000_000})
with open(halves) as lines:
    for line in islice(lines, int(begin), int(end)):
        event = from_json(line)
        event["datacontenttype"] = "application/json"
        at = zlib.crc32(event["id"].encode())
        write = to_structured if at // 7 % 2 else to_binary
        # KServe's logger says of responses what it says of requests.
        message = write(event, key_mapper=lambda event: None)
        of = (at + event["type"].endswith("response")) % partitions
        producer.produce(topic, message.value, headers=list(message.headers.items()), partition=of)
        producer.poll(0)
if producer.flush(60):
    sys.exit("some events were not delivered")
