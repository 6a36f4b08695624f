"""driftgate from Python: the verdicts of `driftgate replay`, in one process or on the workers of Spark or Ray.

The package calls the `driftgate` binary that its wheel carries; `DRIFTGATE_BINARY` names another one.

- `replay` judges files on this machine.
- `driftgate.spark.replay` and `driftgate.ray.replay` judge files on a cluster. The engine schedules splits of files
  and never carries rows.
- `splits`, `scan`, `carry`, `carry_pairs`, `share`, `pair`, `count`, `merge` and `judge` are the passes behind them,
  bytes in and bytes out, for other engines.

Whatever fails raises `Error`. Times are epoch milliseconds or RFC 3339 texts in UTC, as in the files and the verdicts.
"""

from ._binary import binary, version
from ._errors import Error
from ._local import replay
from ._outcome import Outcome
from ._passes import carry, carry_pairs, count, describe, judge, merge, pair, scan, share, splits

__all__ = [
    "Error",
    "Outcome",
    "binary",
    "carry",
    "carry_pairs",
    "count",
    "describe",
    "judge",
    "merge",
    "pair",
    "replay",
    "scan",
    "share",
    "splits",
    "version",
]
