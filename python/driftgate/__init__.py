"""driftgate from Python: a daemon by its HTTP API, and verdicts of files on one machine, on Spark or on Ray.

- `Client` asks a running daemon and tells it things: register, evidence, gate, approve, promote, verdicts, history.

All else calls the `driftgate` binary that the wheel carries; `DRIFTGATE_BINARY` names another one.

- `replay` judges files or tables (pandas, polars, pyarrow) on this machine; a notebook shows what it returns.
- `emit` publishes events to Kafka as the daemon reads them.
- `driftgate.spark.replay` and `driftgate.ray.replay` judge files on a cluster. The engine schedules splits of files
  and never carries rows.
- `splits`, `scan`, `carry`, `carry_pairs`, `share`, `pair`, `count`, `merge` and `judge` are the passes behind them,
  bytes in and bytes out, for other engines.

Whatever fails raises `Error`. Times are epoch milliseconds or RFC 3339 texts in UTC, as in the files and the verdicts.
"""

from ._binary import binary, version
from ._client import Client
from ._emit import emit
from ._errors import ApiError, Error
from ._local import replay
from ._outcome import Outcome
from ._passes import carry, carry_pairs, count, describe, judge, merge, pair, scan, share, splits
from ._report import Report

__all__ = [
    "ApiError",
    "Client",
    "Error",
    "Outcome",
    "Report",
    "binary",
    "carry",
    "carry_pairs",
    "count",
    "describe",
    "emit",
    "judge",
    "merge",
    "pair",
    "replay",
    "scan",
    "share",
    "splits",
    "version",
]
