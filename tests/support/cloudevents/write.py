"""Writes the JSON events of a topic to another one as CloudEvents, by the CloudEvents SDK for Python.

usage: write.py BROKERS FROM TO COUNT MODE FILE STRUCTURED

MODE is binary, structured or mixed (in turns). The first COUNT events of partition 0 are written. The time of an event becomes the attribute `time`, its prediction_id
the attribute `id`; the rest is the data. They go to FILE as they were, and to STRUCTURED as structured mode writes them, a line each.
"""

import json
import sys
from datetime import datetime, timezone

from cloudevents.http import CloudEvent
from cloudevents.kafka import to_binary, to_structured
from confluent_kafka import Consumer, Producer, TopicPartition

brokers, source, target, count, mode, plain, structured = sys.argv[1:]
count = int(count)
writers = {"binary": [to_binary], "structured": [to_structured], "mixed": [to_binary, to_structured]}[mode]


def read():
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "write", "enable.auto.commit": False})
    consumer.assign([TopicPartition(source, 0, 0)])
    messages = []
    while len(messages) < count:
        messages += [m for m in consumer.consume(min(1000, count - len(messages)), 30) if m.error() is None]
    consumer.close()
    return messages


def no_key(event):
    """The events of a test go to one partition."""


producer = Producer({"bootstrap.servers": brokers, "linger.ms": 50})
with open(plain, "w") as lines, open(structured, "w") as wrapped:
    for at, message in enumerate(read()):
        data = json.loads(message.value())
        lines.write(json.dumps(data) + "\n")
        time = datetime.fromtimestamp(data.pop("ts") / 1000, timezone.utc).isoformat()
        attributes = {"type": "com.example.event", "source": "/tests", "id": data.pop("prediction_id"), "time": time}
        event = CloudEvent({**attributes, "datacontenttype": "application/json"}, data)
        wrapped.write(to_structured(event, key_mapper=no_key).value.decode() + "\n")
        written = writers[at % len(writers)](event, key_mapper=no_key)
        while True:
            try:
                producer.produce(target, written.value, partition=0, timestamp=message.timestamp()[1], headers=list(written.headers.items()))
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
if producer.flush(60):
    sys.exit("some events were not delivered")
