"""Judges event files on the executors of Spark.

```python
import driftgate.spark

outcome = driftgate.spark.replay(spark, "policy.yaml", "/data/predictions", "/data/labels", work="/data/scratch")
```

The executors need the driftgate wheel, and the event files, policy, snapshots and `work` at the same paths as the
driver: `docs/guide/spark.md`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional, Sequence

from ._commands import PathLike, Policy
from ._errors import Error
from ._inputs import SPLIT_BYTES, Inputs, Paths
from ._outcome import Outcome
from ._plan import replay as planned
from ._plan import run_folder
from ._tasks import Done, Task, execute_all, last_failure

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["replay"]

_DESCRIPTION = "spark.job.description"
# What an error keeps of the engine's own text.
_KEPT = 4000


def replay(
    spark: SparkSession,
    policy: PathLike,
    predictions: Paths,
    labels: Optional[Paths] = None,
    *,
    measurements: Optional[Paths] = None,
    config: Optional[PathLike] = None,
    work: Optional[PathLike] = None,
    split_bytes: int = SPLIT_BYTES,
    buckets: Optional[int] = None,
    keep: bool = False,
    ship: bool = False,
) -> Outcome:
    """Judges event files on Spark's executors; verdicts and signals are those of `driftgate replay`, byte for byte.

    The files of a kind are one stream in the order given, a folder's files in the order of their names. Each pass is
    one Spark job with one task per split; Spark carries paths, never rows. Spark tries a failed task again
    (`spark.task.maxFailures`), which changes nothing in the answer.

    Args:
        spark: A session of classic Spark; one of Spark Connect has no tasks of this kind.
        policy: The policy's file. Paths of snapshots in it are relative to it.
        predictions: A file, a folder, or several: Parquet, CSV or JSON lines.
        labels: The labels; needed where the policy's rules read them.
        measurements: The measurements; needed where the policy has measured rules.
        config: A daemon's configuration whose field mappings apply to the files.
        work: A folder that the driver and all executors can write; a temporary one unless given, if the master is
            `local`. It takes about 30 bytes per event for policies with labels, and the partials (30 to 130 kB for
            each split, version and pane of 100 features). What was written there is removed at the end.
        split_bytes: About how many bytes of a file one task reads.
        buckets: How many tasks join labels; each holds its share of the predictions, about 100 bytes each. One per
            5 million predictions unless given, at least 16.
        keep: Leaves what the passes wrote in `work`.
        ship: Copies policy, configuration and the snapshots below the policy's folder into `work`, for workers that do
            not see the driver's. Snapshots that the policy names by absolute paths or addresses are read from there.

    Returns:
        All verdicts and signals, in the memory of the driver.

    Raises:
        Error: A file, the policy or a snapshot cannot be read; the policy needs the order of events (exit code 2); or
            a task failed as often as Spark tries. `host` names the machine.
    """
    context = _context(spark)
    one_machine = context.master.startswith("local")
    inputs = Inputs(predictions, labels, measurements)
    with run_folder(work, one_machine, keep) as folder:
        engine = _Executors(context, folder)
        return planned(
            engine,
            Policy.of(policy, config),
            inputs,
            folder=folder,
            split_bytes=split_bytes,
            buckets=buckets,
            ship=ship,
        )


def _context(spark: SparkSession) -> Any:
    try:
        return spark.sparkContext
    except Exception as why:
        raise Error(f"this session has no SparkContext, as those of Spark Connect; use a classic one ({why})") from why


class _Executors:
    """Spark as an engine: a job per pass, a task per command."""

    def __init__(self, context: Any, folder: str) -> None:
        self.context = context
        self.folder = folder

    def __call__(self, name: str, tasks: Sequence[Task]) -> list[Done]:
        before = self.context.getLocalProperty(_DESCRIPTION)
        self.context.setLocalProperty(_DESCRIPTION, f"driftgate {name}: {len(tasks)} tasks")
        try:
            of_tasks = self.context.parallelize(tasks, len(tasks))
            done: list[Done] = of_tasks.mapPartitions(execute_all).collect()
            return done
        except Exception as why:
            raise self._error(name, why) from why
        finally:
            self.context.setLocalProperty(_DESCRIPTION, before)

    def _error(self, name: str, why: Exception) -> Error:
        text = str(why)
        if "No module named 'driftgate'" in text:
            return Error("an executor has no driftgate: install its wheel on every executor")
        return last_failure(self.folder) or Error(f"Spark could not run the pass {name}: {text[:_KEPT]}")
