"""The command lines of the binary."""

from __future__ import annotations

import os
from typing import NamedTuple, Optional, Union
from urllib.parse import unquote

PathLike = Union[str, "os.PathLike[str]"]


class Policy(NamedTuple):
    """The policy that judges, and the daemon's configuration with the fields of the files; absolute paths."""

    path: str
    config: Optional[str] = None

    @classmethod
    def of(cls, policy: PathLike, config: Optional[PathLike]) -> Policy:
        """Both by the paths that a caller gave, which are relative to where it runs."""
        return cls(absolute(policy), None if config is None else absolute(config))

    @property
    def flags(self) -> tuple[str, ...]:
        config = () if self.config is None else ("--config", self.config)
        return ("--policy", self.path, *config)


def absolute(path: PathLike) -> str:
    """An absolute path; of `file:` addresses, which Spark gives, the path."""
    text = os.fspath(path)
    if text.startswith("file:/"):
        text = "/" + unquote(text[len("file:") :]).lstrip("/")
    return os.path.abspath(text)


def replay(policy: Policy, files: dict[str, str], verdicts: str, signals: str, threads: Optional[int]) -> list[str]:
    of_files = [flag for kind, path in files.items() for flag in (f"--{kind}", path)]
    of_threads = () if threads is None else ("--threads", str(threads))
    outs = ("--verdicts", verdicts, "--signals", signals, "--json")
    return ["replay", *policy.flags, *of_files, *outs, *of_threads]
