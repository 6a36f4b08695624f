"""The passes in their order, on any engine: which commands run where, and which files they hand on.

Only paths travel through the engine. What a pass writes is a file in the run's folder, which all workers share.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Optional, Sequence

from . import _commands as commands
from ._binary import run, version
from ._commands import Command, Policy
from ._errors import Error
from ._inputs import Inputs
from ._outcome import Outcome
from ._passes import described, judged
from ._tasks import Done, Task, marker

# Runs the tasks of a pass, in any order, and returns what they wrote, in the order of the tasks.
Engine = Callable[[str, Sequence[Task]], "list[Done]"]

# A merging task reads at most so many partials, and joins no more bytes than this where two of them have less.
MERGED_AT_ONCE = 16
MERGED_BYTES = 256 * 1024 * 1024
# Predictions that one task joins to their labels: it holds them, about 100 bytes each.
PREDICTIONS_PER_BUCKET = 5_000_000
LEAST_BUCKETS = 16


def replay(
    engine: Engine,
    policy: Policy,
    inputs: Inputs,
    *,
    folder: str,
    split_bytes: int,
    buckets: Optional[int],
    ship: bool = False,
) -> Outcome:
    """Runs all passes.

    Raises:
        Error: A pass failed.
    """
    judges = policy
    shipped = Shipped(policy, os.path.join(folder, "policy")) if ship else None
    policy = policy if shipped is None else shipped.policy
    plan = _Plan(engine, policy, folder)
    placed = inputs.placed(split_bytes)
    scans = plan.run("scan", [commands.scan(policy, one) for one in placed])
    carry, said = plan.carry(scans, buckets)
    if shipped is not None:
        shipped.snapshots(said["snapshots"].values())
    paired: list[Done] = []
    if said["pairs"]:
        joined = [one for one in placed if one.kind in ("predictions", "labels")]
        shared = plan.run("share", [commands.share(policy, one, carry) for one in joined])
        files = [done.path for done in shared]
        paired = plan.run("pair", [commands.pair(policy, carry, bucket, files) for bucket in range(said["buckets"])])
        plan.drop("share")
        carry = plan.write("carry1", commands.carry_pairs(policy, carry, [done.path for done in paired]))
    counted = [one for one in placed if one.kind != "labels"]
    partials = plan.run("count", [commands.count(policy, one, carry) for one in counted])
    # The driver's own policy: where a version has no snapshot, its verdicts say where it was looked for.
    return judged(judges, [done.path for done in plan.merge(partials + paired)])


class _Plan:
    """A run: where its files are, and who makes them."""

    def __init__(self, engine: Engine, policy: Policy, folder: str) -> None:
        self.engine = engine
        self.policy = policy
        self.folder = folder
        self.version = version()

    def run(self, name: str, of_pass: Sequence[Command]) -> list[Done]:
        """A pass on the workers."""
        tasks = [Task(one, self.folder, f"{name}/{number:06}", self.version) for number, one in enumerate(of_pass)]
        return self.engine(name, tasks) if tasks else []

    def write(self, name: str, command: Command) -> str:
        """A command on the driver; the file that it writes."""
        out = os.path.join(self.folder, name)
        run(command, out)
        return out

    def carry(self, scans: Sequence[Done], buckets: Optional[int]) -> tuple[str, dict[str, Any]]:
        """The first carry, and what it holds."""
        files = [done.path for done in scans]
        carry = self.write("carry0", commands.carry(self.policy, files, buckets))
        said = described(self.policy, carry)
        if said["pairs"] and buckets is None:
            rows = sum(split["rows"] for split in said["splits"] if split["kind"] == "predictions")
            wanted = max(LEAST_BUCKETS, -(-rows // PREDICTIONS_PER_BUCKET))
            if wanted != said["buckets"]:
                carry = self.write("carry0", commands.carry(self.policy, files, wanted))
                said = described(self.policy, carry)
        return carry, said

    def merge(self, partials: Sequence[Done]) -> list[Done]:
        """Merges on the workers, level by level, until the driver can do the rest."""
        level = 0
        while len(partials) > MERGED_AT_ONCE:
            parts = list(_parts(partials))
            if len(parts) == len(partials):
                break
            level += 1
            several = [commands.merge(done.path for done in part) for part in parts if len(part) > 1]
            merged = iter(self.run(f"merge{level}", several))
            partials = [next(merged) if len(part) > 1 else part[0] for part in parts]
        return list(partials)

    def drop(self, name: str) -> None:
        """Removes what a pass wrote, once nothing needs it."""
        shutil.rmtree(os.path.join(self.folder, name), ignore_errors=True)


class Shipped:
    """Copies of policy, configuration and snapshots in the run's folder, for workers that do not see the driver's."""

    def __init__(self, of: Policy, folder: str) -> None:
        self.driver = os.path.dirname(of.path)
        self.folder = folder
        try:
            os.makedirs(folder)
            path = shutil.copy(of.path, folder)
            config = None if of.config is None else shutil.copyfile(of.config, os.path.join(folder, ".config"))
        except OSError as why:
            raise Error(f"the policy cannot be copied for the workers: {why}") from why
        self.policy = Policy(path, config)

    def snapshots(self, named: Iterable[str]) -> None:
        """Copies what the policy names by a relative path; one that is not there is no version's on the driver either.

        Raises:
            Error: A snapshot is outside of the policy's folder, or cannot be copied.
        """
        for name in named:
            path = os.path.join(self.driver, name)
            if "://" in name or os.path.isabs(name) or not os.path.exists(path):
                continue
            if ".." in Path(name).parts:
                raise Error(f"the snapshot {name} is outside of the policy's folder, from which snapshots are shipped")
            copy = os.path.join(self.folder, name)
            try:
                os.makedirs(os.path.dirname(copy), exist_ok=True)
                shutil.copyfile(path, copy)
            except OSError as why:
                raise Error(f"the snapshot {path} cannot be copied for the workers: {why}") from why


def _parts(partials: Sequence[Done]) -> Iterator[list[Done]]:
    """Neighbours that one task merges."""
    part: list[Done] = []
    size = 0
    for done in partials:
        if part and (len(part) == MERGED_AT_ONCE or size + done.size > MERGED_BYTES):
            yield part
            part, size = [], 0
        part.append(done)
        size += done.size
    if part:
        yield part


@contextlib.contextmanager
def run_folder(work: Optional[commands.PathLike], one_machine: bool, keep: bool) -> Iterator[str]:
    """A folder of this run, below `work`; gone at the end unless it is to be kept.

    Raises:
        Error: `work` is not named although the workers are on other machines, or cannot be written.
    """
    if work is None and not one_machine:
        raise Error("the workers are on several machines: name `work`, a folder that all of them and the driver share")
    parent = tempfile.gettempdir() if work is None else commands.absolute(work)
    folder = Path(parent, f"driftgate-{uuid.uuid4().hex}")
    try:
        folder.mkdir(parents=True)
        Path(marker(str(folder))).touch()
    except OSError as why:
        raise Error(f"the folder {folder} cannot be made: {why}") from why
    try:
        yield str(folder)
    finally:
        if not keep:
            _remove(folder)


def _remove(folder: Path) -> None:
    """Removes a run's folder, also where a task of a run that failed writes into it for a moment longer."""
    for wait in (0.1, 0.2, 0.5, 1.0, 2.0, 0.0):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(wait)
