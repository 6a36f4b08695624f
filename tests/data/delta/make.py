#!/usr/bin/env python3
"""Writes two small tables of Delta Lake: `replaced`, whose first version was written over, and `partitioned`, by version.

    make.py FOLDER        (needs deltalake and pyarrow; the files here are by deltalake 1.6.6)
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
from deltalake import write_deltalake


def rows(first: int, n: int, version: str = "1") -> pa.Table:
    at = list(range(first, first + n))
    return pa.table(
        {
            "prediction_id": [f"e{i}" for i in at],
            "version": [version] * n,
            "ts": [1_767_225_600_000 + i * 1000 for i in at],
            "x": [float(i % 10) for i in at],
            "score": [(i % 10) / 10 for i in at],
        }
    )


def main() -> None:
    folder = Path(sys.argv[1])
    write_deltalake(folder / "replaced", rows(0, 100))
    write_deltalake(folder / "replaced", rows(1000, 60), mode="overwrite")
    both = pa.concat_tables([rows(0, 50), rows(50, 50, "2")])
    write_deltalake(folder / "partitioned", both, partition_by=["version"])


if __name__ == "__main__":
    main()
