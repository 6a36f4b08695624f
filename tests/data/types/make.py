"""Writes types.parquet: a few rows in columns of many types.

Needs pyarrow. The columns `shape` and `variant` carry the logical types GEOMETRY (17) and VARIANT (16), `later` one that
has no meaning yet (99): pyarrow writes them as plain bytes and texts, and their type is put into the footer here.
"""

import decimal
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

decimal.getcontext().prec = 100
D = decimal.Decimal
ROWS = 6
TICKS = [1_700_006_400_000 + 1000 * i for i in range(ROWS)]
table = pa.table(
    {
        "version": pa.array(["1"] * ROWS),
        "ts": pa.array(TICKS, pa.int64()),
        "single": pa.array(np.array([0.1, 0.2, -0.7, 123456.79, 3e-8, np.nan], np.float32)),
        "half": pa.array(np.array([0.1, 0.2, -0.7, 1000, 65504, np.nan], np.float16)),
        "wide": pa.array([D("0.1"), D("-2.5"), D(10) ** 40, D("1.25"), D("0.3"), None], pa.decimal256(60, 5)),
        "whole": pa.array([D(1), D(2), D(9007199254740993), D(-4), D(5), None], pa.decimal128(38, 0)),
        "money": pa.array([D("1.10"), D("2.00"), D("0.07"), D("-4.50"), D("5.00"), None], pa.decimal128(9, 2)),
        "group": pa.array(["a", "b", "a", "b", "a", None]),
        "shape": pa.array([b"\x01point"] * ROWS, pa.binary()),
        "variant": pa.array([{"metadata": b"\x01", "value": b"\x02"}] * ROWS, pa.struct([("metadata", pa.binary()), ("value", pa.binary())])),
        "later": pa.array(["x"] * ROWS),
        "nested": pa.array([{"a": 1, "b": [1, 2]}] * ROWS),
        "tags": pa.array([["x", "y"]] * ROWS),
        "pairs": pa.array([[("k", 1)]] * ROWS, pa.map_(pa.string(), pa.int64())),
        "clock": pa.array([1] * ROWS, pa.time64("us")),
        "span": pa.array([1] * ROWS, pa.duration("ms")),
        "gone": pa.array([None] * ROWS, pa.float64()),
        "nothing": pa.nulls(ROWS),
    }
)


def varint(value):
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def skip(data, at, kind):
    """Behind a value of Thrift's compact protocol."""

    def number(at):
        value, shift = 0, 0
        while True:
            byte = data[at]
            value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
            if byte < 0x80:
                return value, at

    if kind in (1, 2):
        return at
    if kind == 3:
        return at + 1
    if kind in (4, 5, 6):
        return number(at)[1]
    if kind == 7:
        return at + 8
    if kind == 8:
        length, at = number(at)
        return at + length
    if kind == 9:
        head, at = data[at], at + 1
        length, of = head >> 4, head & 15
        if length == 15:
            length, at = number(at)
        for _ in range(length):
            at = at + 1 if of in (1, 2) else skip(data, at, of)
        return at
    assert kind == 12, kind
    for _, of, start, end in fields(data, at):
        at = end
    return at + 1


def fields(data, at):
    """Number, type, start and end of each field of a structure."""
    number, found = 0, []
    while data[at]:
        head, at = data[at], at + 1
        assert head >> 4, "short headers only"
        number, kind, start = number + (head >> 4), head & 15, at
        at = skip(data, at, kind)
        found.append((number, kind, start, at))
    return found


def with_logical_type(element, kind):
    """A schema element whose logical type is `kind`, an empty structure."""
    kept = [f for f in fields(element, 0) if f[0] not in (6, 10)]
    out, last = b"", 0
    for number, of, start, end in kept:
        out, last = out + bytes([(number - last) << 4 | of]) + element[start:end], number
    union = bytes([0x0C]) + varint(kind << 1) + b"\x00" + b"\x00"
    return out + bytes([(10 - last) << 4 | 12]) + union + b"\x00"


def patched(data, types):
    """The file with other logical types in its footer."""
    length = struct.unpack("<I", data[-8:-4])[0]
    body, footer = data[: -8 - length], data[-8 - length : -8]
    schema = next(f for f in fields(footer, 0) if f[0] == 2)
    at, head = schema[2] + 1, footer[schema[2]]
    count = head >> 4
    if count == 15:
        count, at = footer[at], at + 1
    out = footer[:at]
    for _ in range(count):
        end = skip(footer, at, 12)
        element = footer[at:end]
        name = next(element[s + 1 : e].decode() for n, _, s, e in fields(element, 0) if n == 4)
        out += with_logical_type(element, types[name]) if name in types else element
        at = end
    footer = out + footer[at:]
    return body + footer + struct.pack("<I", len(footer)) + b"PAR1"


pq.write_table(table, "types.parquet", compression="snappy", row_group_size=4)
data = open("types.parquet", "rb").read()
open("types.parquet", "wb").write(patched(data, {"shape": 17, "variant": 16, "later": 99}))
