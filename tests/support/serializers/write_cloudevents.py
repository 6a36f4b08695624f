"""Writes the JSON events of a topic to another one as CloudEvents, by the CloudEvents SDK for Python.

usage: write_cloudevents.py BROKERS FROM TO COUNT MODE FILE STRUCTURED

MODE is binary, structured or mixed (in turns). The first COUNT events of partition 0 are written. The time of an event becomes the attribute `time`, its prediction_id
the attribute `id`; the rest is the data. They go to FILE as they were, and to STRUCTURED as structured mode writes them, a line each.
"""

import json
import sys
from datetime import datetime, timezone

import topic
from cloudevents.http import CloudEvent
from cloudevents.kafka import to_binary, to_structured
from confluent_kafka import Producer

brokers, source, target, count, mode, plain, structured = sys.argv[1:]
count = int(count)
writers = {"binary": [to_binary], "structured": [to_structured], "mixed": [to_binary, to_structured]}[mode]


def no_key(event):
    """The events of a test go to one partition."""


producer = Producer({"bootstrap.servers": brokers, "linger.ms": 50})
with open(plain, "w") as lines, open(structured, "w") as wrapped:
    for at, message in enumerate(topic.read(brokers, source, count)):
        data = json.loads(message.value())
        lines.write(json.dumps(data) + "\n")
        time = datetime.fromtimestamp(data.pop("ts") / 1000, timezone.utc).isoformat()
        attributes = {"type": "com.example.event", "source": "/tests", "id": data.pop("prediction_id"), "time": time}
        event = CloudEvent({**attributes, "datacontenttype": "application/json"}, data)
        wrapped.write(to_structured(event, key_mapper=no_key).value.decode() + "\n")
        written = writers[at % len(writers)](event, key_mapper=no_key)
        topic.write(producer, target, written.value, list(written.headers.items()), message)
if producer.flush(60):
    sys.exit("some events were not delivered")
