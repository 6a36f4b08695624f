"""Judging on this machine."""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Optional, Sequence

from . import _commands as commands
from ._binary import run
from ._commands import PathLike, Policy
from ._errors import Error
from ._frames import Events, is_table, written
from ._inputs import SPLIT_BYTES, Inputs, files_of
from ._outcome import Outcome
from ._plan import replay as planned
from ._plan import run_folder
from ._tasks import Done, Task, execute


def replay(
    policy: PathLike,
    predictions: Events,
    labels: Optional[Events] = None,
    *,
    features: Optional[Events] = None,
    measurements: Optional[Events] = None,
    config: Optional[PathLike] = None,
    threads: Optional[int] = None,
) -> Outcome:
    """Judges events in files or tables on this machine.

    A table (pandas, polars, pyarrow, or what has `__arrow_c_stream__`) is written as Parquet into a temporary folder
    first. One file of each kind goes through `driftgate replay`. Several files of a kind, or a folder, are one stream
    in the order given (a folder: by name); they go through the passes of a cluster, in processes.

    Args:
        policy: The policy's file.
        predictions: The predictions: a table, a file, a folder, or several. Parquet, CSV or JSON lines.
        labels: The labels; needed where the policy's rules read them.
        features: Events of the features stream, one file or table; not together with several files of another kind.
        measurements: The measurements; needed where the policy has measured rules.
        config: A daemon's configuration whose field mappings apply to the files.
        threads: How many threads or processes; one per core unless given.

    Returns:
        All verdicts and signals.

    Raises:
        Error: A file, a table or the policy cannot be read or judged.
    """
    of_policy = Policy.of(policy, config)
    streams = {"predictions": predictions, "labels": labels, "features": features, "measurements": measurements}
    if any(is_table(events) for events in streams.values()):
        with tempfile.TemporaryDirectory(prefix="driftgate-") as folder:
            files = {kind: _as_file(kind, events, folder) for kind, events in streams.items() if events is not None}
            return _replayed(of_policy, files, threads)
    inputs = Inputs(predictions, labels, measurements)
    if all(len(files) == 1 for files in inputs.files.values()):
        files = {kind: files[0] for kind, files in inputs.files.items()}
        if features is not None:
            (files["features"],) = files_of([features])
        return _replayed(of_policy, files, threads)
    if features is not None:
        raise Error("the features stream is judged with one file of each kind only")
    with run_folder(None, one_machine=True, keep=False) as folder:
        engine = _Processes(threads or os.cpu_count() or 1)
        return planned(engine, of_policy, inputs, folder=folder, split_bytes=SPLIT_BYTES, buckets=None)


def _as_file(kind: str, events: Events, folder: str) -> str:
    """The one file of a kind of events."""
    if is_table(events):
        return written(events, folder, kind)
    files = files_of(events)
    if len(files) > 1:
        raise Error(f"{len(files)} files of {kind} beside a table: give one file of each kind, or tables")
    return files[0]


def _replayed(policy: Policy, files: dict[str, str], threads: Optional[int]) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="driftgate-") as folder:
        verdicts, signals = Path(folder, "verdicts.jsonl"), Path(folder, "signals.jsonl")
        said = run(commands.replay(policy, files, str(verdicts), str(signals), threads))
        return Outcome.read(verdicts, signals, said)


class _Processes:
    """An engine of processes: each thread waits for one."""

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once

    def __call__(self, name: str, tasks: Sequence[Task]) -> list[Done]:
        del name
        with ThreadPoolExecutor(self.at_once) as threads:
            running = [threads.submit(execute, task) for task in tasks]
            try:
                return [one.result() for one in running]
            except BaseException:
                for one in running:
                    one.cancel()
                raise
