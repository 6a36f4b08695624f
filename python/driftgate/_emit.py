"""Events to Kafka."""

from __future__ import annotations

import json
import tempfile
from typing import Any, Optional

from ._binary import run
from ._commands import Command, PathLike, absolute
from ._frames import Events, is_table, written
from ._inputs import files_of


def emit(
    events: Events,
    topic: str,
    policy: PathLike,
    *,
    kind: Optional[str] = None,
    brokers: Optional[str] = None,
    config: Optional[PathLike] = None,
    rate: Optional[int] = None,
) -> dict[str, Any]:
    """Publishes events to a topic of Kafka as the daemon reads them, in JSON, and returns once the brokers have them.

    Args:
        events: A table (pandas, polars, pyarrow), a file, a folder, or several files.
        topic: The topic; it must exist.
        policy: The policy's file, which says what the columns are.
        kind: `predictions`, `labels`, `features` or `measurements`; by the columns unless given.
        brokers: `host:port,…`; those of `config` unless given, else `localhost:9092`.
        config: A daemon's configuration whose brokers and properties of Kafka are used.
        rate: Events per second at most.

    Returns:
        What `driftgate load --json` says: how many events were sent, and of which kind.

    Raises:
        Error: The events cannot be read or published.
    """
    flags = [("--kind", kind), ("--brokers", brokers), ("--rate", None if rate is None else str(rate))]
    given = [part for flag, value in flags if value is not None for part in (flag, value)]
    of_config = () if config is None else ("--config", absolute(config))
    with tempfile.TemporaryDirectory(prefix="driftgate-") as folder:
        files = [written(events, folder, "events")] if is_table(events) else files_of(events)
        of_files = [part for file in files for part in ("--file", file)]
        command = ("load", "--policy", absolute(policy), "--topic", topic, *of_files, *given, *of_config, "--json")
        return json.loads(run(Command(command)))
