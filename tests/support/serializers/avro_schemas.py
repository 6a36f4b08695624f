"""Avro schemas of JSON events, by the values that the events have."""

import json


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
