"""Writes keys.parquet, predictions whose ids are UUIDs and whose category is bytes of one length, and twice.parquet, which has
two columns of one name. Needs pyarrow."""

import uuid

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 40
ids = [uuid.UUID(int=0x123E4567E89B12D3A456426614174000 + i) for i in range(ROWS)]
columns = {
    "prediction_id": pa.array([i.bytes for i in ids], pa.uuid()),
    "version": pa.array(["1"] * ROWS),
    "ts": pa.array([1_700_006_400_000 + 1000 * i for i in range(ROWS)], pa.int64()),
    "code": pa.array([b"ab%d" % (i % 2) if i % 4 < 2 else bytes([255, 254, i % 2]) for i in range(ROWS)], pa.binary(3)),
    "raw": pa.array([bytes([255, 254, i % 4]) for i in range(ROWS)], pa.binary()),
}
pq.write_table(pa.table(columns), "keys.parquet")
code = pa.array(["a", "b"] * (ROWS // 2))
pq.write_table(pa.Table.from_arrays([columns["version"], columns["ts"], code, code], ["version", "ts", "code", "code"]), "twice.parquet")
