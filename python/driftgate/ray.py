"""Judges event files on the workers of Ray.

```python
import driftgate.ray

outcome = driftgate.ray.replay("policy.yaml", "/data/predictions", "/data/labels", work="/data/scratch")
```

The nodes need the driftgate wheel, and the event files, policy, snapshots and `work` at the same paths as the driver:
`docs/guide/spark.md`.
"""

from __future__ import annotations

import itertools
from typing import Any, Mapping, Optional, Sequence

from ._commands import PathLike, Policy
from ._errors import Error
from ._inputs import SPLIT_BYTES, Inputs, Paths
from ._outcome import Outcome
from ._plan import replay as planned
from ._plan import run_folder
from ._tasks import Done, Task, execute

__all__ = ["replay"]

# Of a task: a core, and three tries more where it or its worker fails.
_OPTIONS: Mapping[str, Any] = {"num_cpus": 1, "max_retries": 3, "retry_exceptions": True}
# So many tasks are submitted per core before the first of them ends, and at least so many.
_AT_ONCE = 4
_LEAST_AT_ONCE = 16
# What an error keeps of the engine's own text.
_KEPT = 4000


def replay(
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
    options: Optional[Mapping[str, Any]] = None,
) -> Outcome:
    """Judges event files on Ray's workers; verdicts and signals are those of `driftgate replay`, byte for byte.

    Ray is started as `ray.init()` does where it is not initialised yet. The files of a kind are one stream in the order
    given, a folder's files in the order of their names. Each split is one Ray task per pass; Ray carries paths, never
    rows, and tries a failed task three times more, which changes nothing in the answer.

    Args:
        policy: The policy's file. Paths of snapshots in it are relative to it.
        predictions: A file, a folder, or several: Parquet, CSV or JSON lines.
        labels: The labels; needed where the policy's rules read them.
        measurements: The measurements; needed where the policy has measured rules.
        config: A daemon's configuration whose field mappings apply to the files.
        work: A folder that the driver and all nodes can write; a temporary one unless given, if Ray has one node. It
            takes about 30 bytes per event for policies with labels, and the partials (30 to 130 kB for each split,
            version and pane of 100 features). What was written there is removed at the end.
        split_bytes: About how many bytes of a file one task reads.
        buckets: How many tasks join labels; each holds its share of the predictions, about 100 bytes each. One per
            5 million predictions unless given, at least 16.
        keep: Leaves what the passes wrote in `work`.
        ship: Copies policy, configuration and the snapshots below the policy's folder into `work`, for workers that do
            not see the driver's. Snapshots that the policy names by absolute paths or addresses are read from there.
        options: Of the tasks, as `ray.remote` takes them (`num_cpus`, `memory`, `runtime_env`, …); over the defaults
            `num_cpus=1, max_retries=3, retry_exceptions=True`.

    Returns:
        All verdicts and signals, in the memory of the driver.

    Raises:
        Error: A file, the policy or a snapshot cannot be read; the policy needs the order of events (exit code 2); or
            a task failed as often as Ray tries. `host` names the machine.
    """
    import ray

    if not ray.is_initialized():
        ray.init()
    nodes = {node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}
    inputs = Inputs(predictions, labels, measurements)
    with run_folder(work, len(nodes) == 1, keep) as folder:
        engine = _Workers(ray, {**_OPTIONS, **(options or {})})
        return planned(
            engine,
            Policy.of(policy, config),
            inputs,
            folder=folder,
            split_bytes=split_bytes,
            buckets=buckets,
            ship=ship,
        )


class _Workers:
    """Ray as an engine: a task per command."""

    def __init__(self, ray: Any, options: Mapping[str, Any]) -> None:
        self.ray = ray
        self.remote = ray.remote(**options)(execute)

    def __call__(self, name: str, tasks: Sequence[Task]) -> list[Done]:
        # After a failure nothing more is submitted, and what runs ends by itself: in Ray 2.60 a task that is cancelled
        # while it is tried again can abort the driver's process.
        at_once = max(_LEAST_AT_ONCE, _AT_ONCE * int(self.ray.cluster_resources().get("CPU", 1)))
        remote = self.remote.options(name=f"driftgate {name}")
        todo = iter(range(len(tasks)))
        running: dict[Any, int] = {}
        done: dict[int, Done] = {}
        failure: Optional[Exception] = None
        while True:
            free = at_once - len(running) if failure is None else 0
            running.update((remote.remote(tasks[number]), number) for number in itertools.islice(todo, free))
            if not running:
                break
            ended, _ = self.ray.wait(list(running), num_returns=1)
            for one in ended:
                number = running.pop(one)
                try:
                    done[number] = self.ray.get(one)
                except self.ray.exceptions.RayError as why:
                    failure = failure or why
        if failure is not None:
            raise _error(name, failure) from failure
        return [done[number] for number in range(len(tasks))]


def _error(name: str, why: Any) -> Error:
    cause = getattr(why, "cause", None)
    if isinstance(cause, Error):
        return cause
    text = str(why)
    if "No module named 'driftgate'" in text:
        return Error("a node has no driftgate: install its wheel on every node")
    return Error(f"Ray could not run the pass {name}: {text[:_KEPT]}")
