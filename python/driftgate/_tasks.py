"""What runs on an engine's workers: one command per task, which writes one file.

A task may be tried again or run twice at once: its file has a name of its own, is written as a whole or not at all, and
has the same bytes each time.
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Iterator, Optional

from ._binary import run, version
from ._commands import Command
from ._errors import Error


@dataclass(frozen=True)
class Task:
    """A command of one pass.

    Attributes:
        command: The command.
        folder: The run's folder, which the driver made and all workers see.
        name: Of the file that it writes there, such as `count/00012`.
        version: The driver's version of driftgate.
    """

    command: Command
    folder: str
    name: str
    version: str

    @property
    def out(self) -> str:
        return os.path.join(self.folder, self.name)


@dataclass(frozen=True)
class Done:
    """What a task wrote: a path, and how many bytes it has."""

    path: str
    size: int


def execute(task: Task) -> Done:
    """Runs a task here, unless it was done before.

    Raises:
        Error: Also in a file below the run's folder, for engines that do not carry exceptions as they are.
    """
    try:
        return _execute(task)
    except Error as error:
        # The engine tells the driver that the task failed; what is written here says why in full.
        failed = Error(error.text, error.code, error.command, socket.gethostname())
        _keep(task, failed)
        raise failed from None


def execute_all(tasks: Iterable[Task]) -> Iterator[Done]:
    """Runs the tasks of a partition one after the other."""
    return map(execute, tasks)


def _execute(task: Task) -> Done:
    if not os.path.isfile(marker(task.folder)):
        raise Error(f"the driver's folder {task.folder} is not here: `work` has to be a folder that all workers share")
    here = version()
    if here != task.version:
        raise Error(f"this worker has driftgate {here}, the driver {task.version}: install the same on both")
    if not os.path.isfile(task.out):
        os.makedirs(os.path.dirname(task.out), exist_ok=True)
        run(task.command, task.out)
    return Done(task.out, os.path.getsize(task.out))


def marker(folder: str) -> str:
    """The file by which a worker knows the driver's folder."""
    return os.path.join(folder, "run")


def _keep(task: Task, error: Error) -> None:
    try:
        folder = Path(task.folder, "failed")
        folder.mkdir(exist_ok=True)
        beside = folder / f".{uuid.uuid4().hex}"
        beside.write_text(json.dumps([error.text, error.code, error.command, error.host]), encoding="utf-8")
        beside.rename(folder / uuid.uuid4().hex)
    except OSError:
        # The folder may be what is missing; the exception says so.
        pass


def last_failure(folder: str) -> Optional[Error]:
    """The last failure that a task of this run kept."""
    try:
        files = [path for path in Path(folder, "failed").iterdir() if not path.name.startswith(".")]
        newest = max(files, key=lambda path: path.stat().st_mtime_ns)
        text, code, command, host = json.loads(newest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return Error(text, code, command, host)
