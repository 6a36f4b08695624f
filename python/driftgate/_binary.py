"""Finds the binary and runs it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sysconfig
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Iterator, Optional

from ._commands import Command
from ._errors import Error

ENVIRONMENT = "DRIFTGATE_BINARY"
_NAME = "driftgate"
# Of standard error, what an error keeps: the last bytes say why a command ended.
_KEPT_OF_STDERR = 16_384


def binary() -> str:
    """The path of the binary that is called.

    It is the one in the environment variable `DRIFTGATE_BINARY`; else the one that was installed with this package;
    else the first `driftgate` on PATH.

    Raises:
        Error: There is none, or `DRIFTGATE_BINARY` names no file that can be executed.
    """
    named = os.environ.get(ENVIRONMENT)
    if named:
        if not _executable(named):
            raise Error(f"{ENVIRONMENT} names {named}, which is no file that can be executed")
        return os.path.abspath(named)
    for candidate in _candidates():
        if _executable(candidate):
            return os.path.abspath(candidate)
    raise Error(
        "the driftgate binary was not found: install the wheel (not the folder of the package alone), "
        f"or name a binary in {ENVIRONMENT}"
    )


def version() -> str:
    """The version of the binary that is called, such as `0.1.0`.

    Raises:
        Error: The binary cannot be found or run.
    """
    return _version_of(binary())


def run(command: Command, out: Optional[str] = None) -> bytes:
    """Runs a command and returns its standard output; with `out` it writes that file, as a whole or not at all.

    Raises:
        Error: It ended with another exit code than 0, or could not be run.
    """
    arguments = list(command.arguments)
    if out is not None:
        arguments += ["--out", out]
    if command.files is None:
        return _run(binary(), arguments)
    for path in command.files:
        if "\n" in path:
            raise Error(f"the path {path!r} holds a line break, which a list of files cannot")
    with tempfile.TemporaryDirectory(prefix="driftgate-") as folder:
        files = Path(folder, "files.txt")
        files.write_text("".join(f"{path}\n" for path in command.files), encoding="utf-8", errors="surrogateescape")
        return _run(binary(), [*arguments, f"@{files}"])


def _run(path: str, arguments: list[str]) -> bytes:
    shown = " ".join(arguments)
    try:
        ended = subprocess.run([path, *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as why:
        raise Error(f"{path} cannot be run: {why}", None, shown) from why
    if ended.returncode == 0:
        return ended.stdout
    text = ended.stderr[-_KEPT_OF_STDERR:].decode("utf-8", "replace").strip()
    if ended.returncode < 0:
        raise Error(f"signal {-ended.returncode} ended it. {text}".strip(), None, shown)
    raise Error(text or "it wrote nothing on standard error", ended.returncode, shown)


@functools.cache
def _version_of(path: str) -> str:
    said = _run(path, ["--version"]).decode("utf-8", "replace").split()
    return said[1] if len(said) > 1 else ""


def _candidates() -> Iterator[Path]:
    """Where pip puts what a wheel has in its `scripts`."""
    try:
        files = metadata.distribution(_NAME).files or []
        yield from (Path(str(file.locate())) for file in files if file.name == _NAME and file.parent.name == "bin")
    except metadata.PackageNotFoundError:
        pass
    yield Path(sysconfig.get_path("scripts"), _NAME)
    if "posix_user" in sysconfig.get_scheme_names():
        yield Path(sysconfig.get_path("scripts", "posix_user"), _NAME)
    # `pip install --target FOLDER`.
    yield Path(__file__).resolve().parent.parent / "bin" / _NAME
    on_path = shutil.which(_NAME)
    if on_path:
        yield Path(on_path)


def _executable(path: object) -> bool:
    return os.path.isfile(str(path)) and os.access(str(path), os.X_OK)
