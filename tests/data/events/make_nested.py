"""Writes nested.parquet: 200 predictions whose features are one column of structs, as pandas and Spark write what was JSON."""
import pyarrow as pa, pyarrow.parquet as pq

rows = range(200)
table = pa.table({
    "version": ["1"] * 200,
    "ts": [1_700_049_600_000 + i for i in rows],
    "features": [{"x": i % 10, "y": i % 10} for i in rows],
})
pq.write_table(table, "nested.parquet")
