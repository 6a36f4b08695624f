"""Which files are read, and how they are cut."""

from __future__ import annotations

import os
import re
from typing import Iterator, Optional, Sequence, Union

from . import _commands as commands
from ._binary import run
from ._commands import PathLike, Placed, absolute
from ._errors import Error

Paths = Union[PathLike, Sequence[PathLike]]

SPLIT_BYTES = 128 * 1024 * 1024
_ENDINGS = (".parquet", ".csv", ".jsonl", ".ndjson", ".json")
_ADDRESS = re.compile(r"^(?!file:)[A-Za-z][A-Za-z0-9+.-]*:/")


def files_of(paths: Paths) -> list[str]:
    """Absolute paths of the files; a folder stands for its files by name, without those that begin with `_` or `.`.

    Raises:
        Error: There is no file, one is not there, or an address names no file system.
    """
    given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    found: list[str] = []
    for path in given:
        text = os.fspath(path)
        if _ADDRESS.match(text):
            raise Error(f"{text} is an address; driftgate reads event files by path: mount the store as a folder")
        whole = absolute(text)
        if os.path.isdir(whole):
            inside = list(_within(whole))
            if not inside:
                raise Error(f"the folder {whole} has no file that ends in {', '.join(_ENDINGS)}")
            found += inside
        elif os.path.exists(whole):
            found.append(whole)
        else:
            raise Error(f"there is no file {whole}")
    if not found:
        raise Error("no event file was given")
    return found


def _within(folder: str) -> Iterator[str]:
    with os.scandir(folder) as inside:
        entries = sorted((e for e in inside if not e.name.startswith(("_", "."))), key=lambda e: e.name)
    for entry in entries:
        if entry.is_dir():
            yield from _within(entry.path)
        elif entry.name.lower().endswith(_ENDINGS):
            yield entry.path


def splits_of(files: Sequence[str], split_bytes: int) -> list[str]:
    """The splits of files, in order."""
    said = run(commands.splits(files, split_bytes))
    return said.decode("utf-8", "surrogateescape").split("\n")[:-1]


class Inputs:
    """The files of each kind of events."""

    def __init__(
        self, predictions: Paths, labels: Optional[Paths] = None, measurements: Optional[Paths] = None
    ) -> None:
        given = {"predictions": predictions, "labels": labels, "measurements": measurements}
        self.files = {kind: files_of(paths) for kind, paths in given.items() if paths is not None}

    def placed(self, split_bytes: int) -> list[Placed]:
        """All splits with their places."""
        return [
            Placed(kind, place, split)
            for kind, files in self.files.items()
            for place, split in enumerate(splits_of(files, split_bytes))
        ]
