"""The passes, bytes in and bytes out: what an engine's tasks call.

Each is a pure function of its arguments, the files they name and the snapshots of the policy, so a task may be tried
again or run twice. `docs/guide/batch.md` says what each is for.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterable, Iterator, Optional, Union

from . import _commands as commands
from ._binary import run
from ._commands import PathLike, Placed, Policy, absolute
from ._inputs import SPLIT_BYTES, Paths, files_of, splits_of
from ._outcome import Outcome

# A path, or what such a file holds.
Content = Union[bytes, PathLike]


def splits(files: Paths, *, split_bytes: int = SPLIT_BYTES) -> list[str]:
    """Cuts files into splits, in the order of the files.

    Args:
        files: A file, a folder (its files by name, also of folders in it), or several.
        split_bytes: About how many bytes of the file one split has.

    Returns:
        Texts such as `/data/p.parquet:0-3` (row groups), `/data/l.jsonl:0..134217728` (bytes) or `/data/p.csv`. A
        split's index in this list is its place.

    Raises:
        Error: A file cannot be read or is of another format.
    """
    return splits_of(files_of(files), split_bytes)


def scan(
    policy: PathLike, split: str, *, place: int, kind: str = "predictions", config: Optional[PathLike] = None
) -> bytes:
    """Reads the times and versions of a split; at most some kB.

    Args:
        policy: The policy's file.
        split: A split, as `splits` gives it.
        place: Its place in the stream of its kind: 0, 1, 2, … without holes.
        kind: `predictions`, `labels` or `measurements`.
        config: A daemon's configuration whose field mappings apply to the files.

    Raises:
        Error: A file cannot be read, or the policy cannot be judged split by split (exit code 2).
    """
    return run(commands.scan(Policy.of(policy, config), Placed(kind, place, split)))


def carry(
    policy: PathLike, scans: Iterable[Content], *, buckets: Optional[int] = None, config: Optional[PathLike] = None
) -> bytes:
    """Joins the scans of all splits of all kinds into the carry that the later passes need.

    It may read the files of splits again.

    Args:
        policy: The policy's file.
        scans: What `scan` gave, in any order.
        buckets: How many tasks join labels to predictions; each holds its share of the predictions in memory, about
            100 bytes each.
        config: As of `scan`.

    Raises:
        Error: A scan is missing, damaged or of another policy.
    """
    with _files(scans) as of_scans:
        return run(commands.carry(Policy.of(policy, config), of_scans, buckets))


def carry_pairs(
    policy: PathLike, carry: Content, paired: Iterable[Content], *, config: Optional[PathLike] = None
) -> bytes:
    """Adds to a carry which rows are repetitions, as all buckets of `pair` found them.

    Raises:
        Error: A bucket is missing, damaged or of another carry.
    """
    with _files([carry]) as (of_carry,), _files(paired) as of_paired:
        return run(commands.carry_pairs(Policy.of(policy, config), of_carry, of_paired))


def describe(policy: PathLike, carry: Content, *, config: Optional[PathLike] = None) -> dict[str, Any]:
    """What a carry holds: `pairs` (whether `share` and `pair` are needed), `buckets`, `splits`, `versions`, …

    Raises:
        Error: It is damaged.
    """
    with _files([carry]) as (of_carry,):
        return described(Policy.of(policy, config), of_carry)


def described(policy: Policy, carry: str) -> dict[str, Any]:
    """The same of a file."""
    said: dict[str, Any] = json.loads(run(commands.show(policy, carry)))
    return said


def share(
    policy: PathLike,
    split: str,
    carry: Content,
    *,
    place: int,
    kind: str = "predictions",
    config: Optional[PathLike] = None,
) -> bytes:
    """What joining needs of a split of predictions or labels, by bucket of its ids; about 30 bytes a row.

    Raises:
        Error: As `scan`; also if the split is another one than the one scanned.
    """
    with _files([carry]) as (of_carry,):
        return run(commands.share(Policy.of(policy, config), Placed(kind, place, split), of_carry))


def pair(
    policy: PathLike, carry: Content, shared: Iterable[Content], *, bucket: int, config: Optional[PathLike] = None
) -> bytes:
    """Joins the labels and predictions of a bucket; the result is a partial.

    Args:
        policy: The policy's file.
        carry: What `carry` gave.
        shared: What `share` gave, for all splits of predictions and labels, in any order.
        bucket: 0 to the number of buckets, exclusive.
        config: As of `scan`.

    Raises:
        Error: A split is missing, damaged or of another carry.
    """
    with _files([carry]) as (of_carry,), _files(shared) as of_shared:
        return run(commands.pair(Policy.of(policy, config), of_carry, bucket, of_shared))


def count(
    policy: PathLike,
    split: str,
    carry: Content,
    *,
    place: int,
    kind: str = "predictions",
    config: Optional[PathLike] = None,
) -> bytes:
    """Counts a split of predictions or measurements; the result is a partial.

    Args:
        policy: The policy's file.
        split: A split, as `splits` gives it.
        carry: What `carry_pairs` gave, or `carry` where the policy needs no pairs.
        place: The place of the split.
        kind: `predictions` or `measurements`. Labels are counted by `pair`.
        config: As of `scan`.

    Returns:
        30 to 130 kB for each pane of a version, for 100 features.

    Raises:
        Error: As `share`; also if a snapshot cannot be read.
    """
    with _files([carry]) as (of_carry,):
        return run(commands.count(Policy.of(policy, config), Placed(kind, place, split), of_carry))


def merge(partials: Iterable[Content]) -> bytes:
    """Adds partials, in any order and any tree: the same partials give the same bytes.

    Raises:
        Error: A partial is damaged, of another policy, or given twice.
    """
    with _files(partials) as of_partials:
        return run(commands.merge(of_partials))


def judge(policy: PathLike, partials: Iterable[Content], *, config: Optional[PathLike] = None) -> Outcome:
    """Judges partials that together hold every split and every bucket once.

    Raises:
        Error: One is missing, held twice, damaged or of another policy; or a snapshot cannot be read.
    """
    with _files(partials) as of_partials:
        return judged(Policy.of(policy, config), of_partials)


def judged(policy: Policy, partials: Iterable[str]) -> Outcome:
    """The same of files."""
    with tempfile.TemporaryDirectory(prefix="driftgate-") as folder:
        verdicts, signals = Path(folder, "verdicts.jsonl"), Path(folder, "signals.jsonl")
        said = run(commands.judge(policy, partials, str(verdicts), str(signals)))
        return Outcome.read(verdicts, signals, said)


@contextmanager
def _files(contents: Iterable[Content]) -> Iterator[list[str]]:
    """Paths as they are, bytes as files for as long as this is open."""
    with tempfile.TemporaryDirectory(prefix="driftgate-") as folder:
        paths = []
        for number, content in enumerate(contents):
            if isinstance(content, (bytes, bytearray, memoryview)):
                path = Path(folder, str(number))
                path.write_bytes(content)
                paths.append(str(path))
            else:
                paths.append(absolute(content))
        yield paths
