"""Writes the JSON events of a topic to another one, by the serializers of confluent-kafka.

usage: write.py BROKERS FROM TO COUNT FORMAT REGISTRY FILE

FORMAT is avro, avro-header, protobuf, protobuf-header or json_schema. The first COUNT events of partition 0 are written, in their order and with their times, and
also to FILE, a line each. From half of them on, the schema is another one: a field more, one less, another order.
"""

import json
import sys

import topic
from avro_schemas import avro_schemas
from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient, header_schema_id_serializer
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

brokers, source, target, count, form, registry, file = sys.argv[1:]
count = int(count)


def proto_fields(message, events, reverse, shift):
    """Adds the fields of flat events to a message; where some event has none, the field says whether it is there."""
    kinds = descriptor_pb2.FieldDescriptorProto
    types = {bool: kinds.TYPE_BOOL, int: kinds.TYPE_SINT64, float: kinds.TYPE_DOUBLE, str: kinds.TYPE_STRING}
    names = list(dict.fromkeys(name for event in events for name in event))
    for number, name in enumerate(reversed(names) if reverse else names, shift):
        seen = {type(event.get(name)) for event in events}
        kind = kinds.TYPE_DOUBLE if seen >= {int, float} else types[(seen - {type(None)}).pop()]
        field = message.field.add(name=name, number=number, type=kind, label=kinds.LABEL_OPTIONAL)
        if reverse and type(None) in seen:
            field.proto3_optional = True
            field.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name="_" + name)


def proto_class(events, reverse):
    """A message of these events: of proto2, or of proto3 with other numbers, another field, and its own place in the file."""
    parts = {name for event in events for name, value in event.items() if isinstance(value, dict)}
    flat = [{name: value for name, value in event.items() if name not in parts and name != "ts"} for event in events]
    file = descriptor_pb2.FileDescriptorProto(name=f"event{reverse:d}.proto", package=f"example{reverse:d}")
    file.syntax = "proto3" if reverse else "proto2"
    file.dependency.append("google/protobuf/timestamp.proto")
    file.message_type.add(name="Unused")
    outer = file.message_type.add(name="Outer")
    message = outer.nested_type.add(name="Event") if reverse else file.message_type.add(name="Event")
    path = f".example{reverse:d}." + ("Outer.Event" if reverse else "Event")
    proto_fields(message, flat, reverse, 3 if reverse else 1)
    kinds = descriptor_pb2.FieldDescriptorProto
    of_message = {"type": kinds.TYPE_MESSAGE, "label": kinds.LABEL_OPTIONAL}
    message.field.add(name="ts", number=2000, type_name=".google.protobuf.Timestamp", **of_message)
    for number, part in enumerate(sorted(parts), 100):
        inner = message.nested_type.add(name=part.capitalize())
        proto_fields(inner, [event.get(part) or {} for event in events], reverse, 1)
        message.field.add(name=part, number=number, type_name=f"{path}.{inner.name}", **of_message)
    if reverse:
        message.field.add(name="trace", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_REPEATED)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(path[1:]))


def proto_value(kind, event):
    """An event as a message."""
    message = kind()
    for name, value in event.items():
        if name == "ts":
            message.ts.seconds, message.ts.nanos = value // 1000, value % 1000 * 1_000_000
        elif isinstance(value, dict):
            part = getattr(message, name)
            part.SetInParent()
            for key, inner in value.items():
                if inner is not None:
                    setattr(part, key, inner)
        elif value is not None:
            setattr(message, name, value)
    if "trace" in kind.DESCRIPTOR.fields_by_name:
        message.trace.extend(["a", "b"])
    return message


def serializers(events):
    client = SchemaRegistryClient({"url": registry})
    if form == "json_schema":
        schema = json.dumps({"type": "object", "title": "Event"})
        return [JSONSerializer(schema, client)] * 2
    options = {"schema.id.serializer": header_schema_id_serializer} if form.endswith("-header") else {}
    if form.startswith("protobuf"):
        kinds = [proto_class(events, reverse) for reverse in (False, True)]
        made = [ProtobufSerializer(kind, client, conf={"auto.register.schemas": True, **options}) for kind in kinds]
        return [lambda event, context, kind=kind, write=write: write(proto_value(kind, event), context) for kind, write in zip(kinds, made)]
    return [AvroSerializer(client, schema, conf={"auto.register.schemas": True, **options}) for schema in avro_schemas(events)]


def main():
    messages = topic.read(brokers, source, count)
    events = [json.loads(message.value()) for message in messages]
    writers = serializers(events)
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 50})
    with open(file, "w") as lines:
        for at, (message, event) in enumerate(zip(messages, events)):
            lines.write(json.dumps(event) + "\n")
            if form.startswith("avro"):
                # Micros, as the schema says.
                event = {**event, "ts": event["ts"] * 1000}
            headers = []
            context = SerializationContext(target, MessageField.VALUE, headers)
            value = writers[2 * at // count](event, context)
            topic.write(producer, target, value, headers, message)
    if producer.flush(60):
        sys.exit("some events were not delivered")


main()
