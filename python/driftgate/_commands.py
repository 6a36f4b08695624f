"""The command lines of the passes; `docs/guide/batch.md` says what each pass does."""

from __future__ import annotations

import os
from typing import Iterable, NamedTuple, Optional, Union
from urllib.parse import unquote

PathLike = Union[str, "os.PathLike[str]"]


class Command(NamedTuple):
    """Arguments of the binary, and files that it takes behind them, in a list of their own however many they are."""

    arguments: tuple[str, ...]
    files: Optional[tuple[str, ...]] = None


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


class Placed(NamedTuple):
    """A split of a file, and its place in the stream of its kind of events."""

    kind: str
    place: int
    split: str

    @property
    def flags(self) -> tuple[str, ...]:
        return ("--kind", self.kind, "--place", str(self.place), "--split", self.split)


def absolute(path: PathLike) -> str:
    """An absolute path; of `file:` addresses, which Spark gives, the path."""
    text = os.fspath(path)
    if text.startswith("file:/"):
        text = "/" + unquote(text[len("file:") :]).lstrip("/")
    return os.path.abspath(text)


def splits(files: Iterable[str], split_bytes: int) -> Command:
    return Command(("splits", "--bytes", str(split_bytes)), tuple(files))


def scan(policy: Policy, placed: Placed) -> Command:
    return Command(("count", "--pass", "scan", *policy.flags, *placed.flags))


def carry(policy: Policy, scans: Iterable[str], buckets: Optional[int]) -> Command:
    of_buckets = () if buckets is None else ("--buckets", str(buckets))
    return Command(("carry", *policy.flags, *of_buckets), tuple(scans))


def carry_pairs(policy: Policy, carry_file: str, paired: Iterable[str]) -> Command:
    return Command(("carry", *policy.flags, "--carry", carry_file), tuple(paired))


def show(policy: Policy, carry_file: str) -> Command:
    return Command(("carry", *policy.flags, "--show", carry_file))


def share(policy: Policy, placed: Placed, carry_file: str) -> Command:
    return Command(("count", "--pass", "share", *policy.flags, "--carry", carry_file, *placed.flags))


def pair(policy: Policy, carry_file: str, bucket: int, shared: Iterable[str]) -> Command:
    flags = ("--carry", carry_file, "--bucket", str(bucket))
    return Command(("count", "--pass", "pair", *policy.flags, *flags), tuple(shared))


def count(policy: Policy, placed: Placed, carry_file: str) -> Command:
    return Command(("count", *policy.flags, "--carry", carry_file, *placed.flags))


def merge(partials: Iterable[str]) -> Command:
    return Command(("merge",), tuple(partials))


def judge(policy: Policy, partials: Iterable[str], verdicts: str, signals: str) -> Command:
    outs = ("--verdicts", verdicts, "--signals", signals, "--json")
    return Command(("judge", *policy.flags, *outs), tuple(partials))


def replay(policy: Policy, files: dict[str, str], verdicts: str, signals: str, threads: Optional[int]) -> Command:
    of_files = [flag for kind, path in files.items() for flag in (f"--{kind}", path)]
    of_threads = () if threads is None else ("--threads", str(threads))
    outs = ("--verdicts", verdicts, "--signals", signals, "--json")
    return Command(("replay", *policy.flags, *of_files, *outs, *of_threads))
