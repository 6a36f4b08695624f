"""Tables in memory as files that the binary reads."""

from __future__ import annotations

import os
from typing import Any, Union

from ._errors import Error
from ._inputs import Paths

Events = Union[Paths, Any]
"""Paths, or a table: of pandas, polars, pyarrow, or anything with `__arrow_c_stream__`."""


def is_table(events: object) -> bool:
    """Whether events are a table in memory, not paths."""
    return any(hasattr(events, of) for of in ("__arrow_c_stream__", "to_parquet", "write_parquet", "sink_parquet"))


def written(table: Any, folder: str, name: str) -> str:
    """Writes a table as `name.parquet` and returns the path. A pandas DataFrame's index is left out.

    Raises:
        Error: The table cannot be written, or what writes it is not installed.
    """
    path = os.path.join(folder, f"{name}.parquet")
    try:
        _write(table, path)
    except Error:
        raise
    except Exception as why:
        raise Error(f"the table of {name} cannot be written as Parquet: {why}") from why
    return path


def _write(table: Any, path: str) -> None:
    # A DataFrame of polars, and a LazyFrame.
    for write in ("write_parquet", "sink_parquet"):
        if hasattr(table, write):
            getattr(table, write)(path)
            return
    if hasattr(table, "to_parquet"):
        # pandas says itself that it needs pyarrow.
        table.to_parquet(path, index=False)
        return
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as why:
        raise Error("a table with __arrow_c_stream__ is read by pyarrow: pip install pyarrow") from why
    with pyarrow.RecordBatchReader.from_stream(table) as batches:
        with pyarrow.parquet.ParquetWriter(path, batches.schema) as file:
            for batch in batches:
                file.write_batch(batch)
