"""Writes the JSON events of a topic to another one, by the serializers of confluent-kafka.

usage: write.py BROKERS FROM TO COUNT FORMAT REGISTRY FILE

FORMAT is avro, avro-header or json_schema. The first COUNT events of partition 0 are written, in their order and with their times, and
also to FILE, a line each. From half of them on, the schema is another one: a field more, one less, another order.
"""

import json
import sys

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient, header_schema_id_serializer
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

brokers, source, target, count, form, registry, file = sys.argv[1:]
count = int(count)


def avro_type(values):
    """The type of a field that has these values."""
    seen = {type(value) for value in values}
    kinds = {bool: "boolean", int: "long", float: "double", str: "string"}
    if dict in seen:
        raise ValueError("nested deeper than expected")
    names = sorted(kinds[kind] for kind in seen - {type(None)})
    names = ["double"] if set(names) == {"double", "long"} else names
    return ["null", *names] if type(None) in seen else (names[0] if len(names) == 1 else names)


def fields(events):
    """The fields of flat events, in the order in which they came."""
    names = list(dict.fromkeys(name for event in events for name in event))
    return [{"name": name, "type": avro_type([event.get(name) for event in events])} for name in names]


def avro_schemas(events):
    parts = {name for event in events for name, value in event.items() if isinstance(value, dict)}
    flat = [{name: value for name, value in event.items() if name not in parts} for event in events]
    whole = fields(flat)
    for field in whole:
        if field["name"] == "ts":
            field["type"] = {"type": "long", "logicalType": "timestamp-micros"}
    for part in sorted(parts):
        inner = {"type": "record", "name": part.capitalize(), "fields": fields([event.get(part, {}) for event in events])}
        whole.append({"name": part, "type": inner})
    first = {"type": "record", "name": "Event", "namespace": "com.example", "fields": whole}
    trace = {"name": "trace", "type": ["null", {"type": "map", "values": "string"}], "default": None}
    second = {**first, "fields": [trace, *reversed(whole)]}
    return [json.dumps(first), json.dumps(second)]


def read():
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "write", "enable.auto.commit": False})
    consumer.assign([TopicPartition(source, 0, 0)])
    messages = []
    while len(messages) < count:
        messages += [m for m in consumer.consume(min(1000, count - len(messages)), 30) if m.error() is None]
    consumer.close()
    return messages


def serializers(events):
    client = SchemaRegistryClient({"url": registry})
    if form == "json_schema":
        schema = json.dumps({"type": "object", "title": "Event"})
        return [JSONSerializer(schema, client)] * 2
    options = {"schema.id.serializer": header_schema_id_serializer} if form == "avro-header" else {}
    return [AvroSerializer(client, schema, conf={"auto.register.schemas": True, **options}) for schema in avro_schemas(events)]


def main():
    messages = read()
    events = [json.loads(message.value()) for message in messages]
    writers = serializers(events)
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 50})
    with open(file, "w") as lines:
        for at, (message, event) in enumerate(zip(messages, events)):
            lines.write(json.dumps(event) + "\n")
            if form != "json_schema":
                # Micros, as the schema says.
                event = {**event, "ts": event["ts"] * 1000}
            headers = []
            context = SerializationContext(target, MessageField.VALUE, headers)
            value = writers[2 * at // count](event, context)
            while True:
                try:
                    producer.produce(target, value, partition=0, timestamp=message.timestamp()[1], headers=headers)
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
    if producer.flush(60):
        sys.exit("some events were not delivered")


main()
