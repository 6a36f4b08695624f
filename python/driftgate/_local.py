"""Judging on this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Optional

from . import _commands as commands
from ._binary import run
from ._commands import PathLike, Policy, absolute
from ._outcome import Outcome


def replay(
    policy: PathLike,
    predictions: PathLike,
    labels: Optional[PathLike] = None,
    *,
    features: Optional[PathLike] = None,
    measurements: Optional[PathLike] = None,
    config: Optional[PathLike] = None,
    threads: Optional[int] = None,
) -> Outcome:
    """Judges event files on this machine, as `driftgate replay` does. Files are Parquet, CSV or JSON lines.

    Args:
        policy: The policy's file. Paths of snapshots in it are relative to it.
        predictions: The file of the predictions, in the order of their arrival.
        labels: The labels; needed where the policy's rules read them.
        features: Events of the features stream.
        measurements: The measurements; needed where the policy has measured rules.
        config: A daemon's configuration whose field mappings apply to the files.
        threads: How many threads; one per core unless given.

    Returns:
        All verdicts and signals.

    Raises:
        Error: A file or the policy cannot be read or judged.
    """
    given = {"predictions": predictions, "labels": labels, "features": features, "measurements": measurements}
    files = {kind: absolute(path) for kind, path in given.items() if path is not None}
    with tempfile.TemporaryDirectory(prefix="driftgate-") as folder:
        verdicts, signals = Path(folder, "verdicts.jsonl"), Path(folder, "signals.jsonl")
        said = run(commands.replay(Policy.of(policy, config), files, str(verdicts), str(signals), threads))
        return Outcome.read(verdicts, signals, said)
