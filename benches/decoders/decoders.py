#!/usr/bin/env python3
"""Reads the messages of a file again and again, as confluent-kafka's deserializers do: `json`, fastavro, Protobuf.

    decoders.py json|avro|protobuf MESSAGES SCHEMA

Takes the values of all features, and prints events a second of the fastest pass.
"""

from __future__ import annotations

import io
import json
import operator
import sys
import time
from pathlib import Path
from typing import Any, Callable

MEASURED_SECONDS = 3.0


def messages(path: Path) -> list[bytes]:
    """Messages, each behind its length."""
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        found.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def reader(name: str, schema: Path) -> Callable[[bytes], list[Any]]:
    if name == "json":
        return lambda message: list(json.loads(message)["features"].values())
    if name == "avro":
        import fastavro

        parsed = fastavro.parse_schema(json.loads(schema.read_text(encoding="utf-8")))
        return lambda message: list(fastavro.schemaless_reader(io.BytesIO(message), parsed)["features"].values())
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    files = descriptor_pb2.FileDescriptorSet.FromString(schema.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    parse = message_factory.GetMessageClass(pool.FindMessageTypeByName("Prediction")).FromString
    names = [field.name for field in pool.FindMessageTypeByName("Features").fields]
    take = operator.attrgetter(*names)
    return lambda message: take(parse(message).features)


def main() -> None:
    name, path, schema = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    read, all_messages = reader(name, schema), messages(path)
    begun, best = time.perf_counter(), 0.0
    while time.perf_counter() - begun < MEASURED_SECONDS:
        start = time.perf_counter()
        for message in all_messages:
            read(message)
        best = max(best, len(all_messages) / (time.perf_counter() - start))
    print(f"{best:.0f}")


if __name__ == "__main__":
    main()
