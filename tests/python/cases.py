"""What every engine has to give: the verdicts of `driftgate replay`, byte for byte, and errors that say why."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import driftgate
import made

# Stands before the binary, for driver and workers alike, and does to their commands what the files beside it say.
WRAPPER = """#!/bin/sh
control=$(dirname "$0")
out= last=
for argument in "$@"; do
  if [ "$last" = --out ]; then out=$argument; fi
  last=$argument
done
mode=$(cat "$control/mode" 2>/dev/null)
case "$mode $*" in
  "once count "* | "once merge "*)
    if mkdir "$control/tried/$(basename "$(dirname "$out")")-$(basename "$out")" 2>/dev/null; then
      echo "half of a file" >"$out.half"
      echo "this machine is out of order" >&2
      exit 9
    fi ;;
  "share count --pass share "*) sh "$control/command" ;;
  "shipped count "*" --policy $(cat "$control/policy" 2>/dev/null) "*) echo "the driver's policy" >&2; exit 9 ;;
  "elsewhere count --policy "*"--place 1 "*)
    policy=$3
    shift 3
    set -- count --policy "$control/elsewhere/policy.yaml" "$@" ;;
esac
exec BINARY "$@"
"""


class EngineCases:
    """Mixed into a `unittest.TestCase` by each engine; `judge` is the engine's `replay`."""

    control: ClassVar[Path]

    @classmethod
    def control_binary(cls) -> None:
        """Puts the wrapper before the binary; before the engine starts, whose workers inherit it."""
        cls.control = Path(tempfile.mkdtemp(prefix="driftgate-control-"))
        cls.addClassCleanup(shutil.rmtree, cls.control)
        wrapper = cls.control / "driftgate"
        wrapper.write_text(WRAPPER.replace("BINARY", f"'{driftgate.binary()}'"))
        wrapper.chmod(0o755)
        os.environ["DRIFTGATE_BINARY"] = str(wrapper)

    def setUp(self) -> None:
        # Paths with spaces, as all tests.
        self.folder = Path(tempfile.mkdtemp(prefix="driftgate test "))
        self.addCleanup(shutil.rmtree, self.folder)
        self.work = self.folder / "work of all"
        self.work.mkdir()

    def judge(self, policy: Any, predictions: Any, labels: Any = None, **options: Any) -> driftgate.Outcome:
        raise NotImplementedError

    def mode(self, mode: str) -> None:
        (self.control / "mode").write_text(mode)
        self.addCleanup((self.control / "mode").unlink)

    def expected(self, labels: bool = True) -> tuple[bytes, bytes]:
        """What the shop's events come to as one file of each kind."""
        of_labels = self.folder / "labels.jsonl" if labels else None
        return made.replayed(self.folder, self.folder / "policy.yaml", self.folder / "predictions.jsonl", of_labels)

    def assert_replays(self, outcome: driftgate.Outcome, expected: tuple[bytes, bytes], verdicts: int) -> None:
        """The bytes are the same, and there is something to compare."""
        self.assertGreater(len(expected[0].splitlines()), verdicts)
        self.assertEqual(outcome.verdict_lines, expected[0])
        self.assertEqual(outcome.signal_lines, expected[1])
        self.assertEqual(len(outcome.verdicts), len(expected[0].splitlines()))
        self.assertEqual(len(outcome.signals), len(expected[1].splitlines()))

    def assert_fails(self, files: tuple[Path, Path, Path], says: str) -> driftgate.Error:
        """Judging fails on a worker with exit code 2 and this text, and leaves nothing behind."""
        with self.assertRaisesRegex(driftgate.Error, says) as raised:
            self.judge(*files, work=self.work, buckets=1)
        self.assertEqual(raised.exception.code, 2, str(raised.exception))
        self.assertEqual(list(self.work.iterdir()), [])
        return raised.exception

    def test_flights_in_runs_of_row_groups(self) -> None:
        flights = Path(os.environ["DRIFTGATE_TEST_FLIGHTS"])
        policy, predictions, labels = (
            flights / name for name in ("policy-core.yaml", "predictions.parquet", "labels.parquet")
        )
        for file in (predictions, labels):
            splits = driftgate.splits(file, split_bytes=1_000_000)
            self.assertGreater(len(splits), 1, splits)
        outcome = self.judge(policy, predictions, labels, split_bytes=1_000_000, buckets=2)
        self.assert_replays(outcome, made.replayed(self.folder, policy, predictions, labels), 600)

    def test_late_repeated_and_damaged_events_in_files_that_are_cut(self) -> None:
        policy, predictions, labels = made.shop(self.folder, orders=5000, files=2)
        outcome = self.judge(policy, predictions, labels, split_bytes=200_000, work=self.work, buckets=2)
        self.assert_replays(outcome, self.expected(), 150)
        self.assertIn(b'"block"', outcome.signal_lines)
        self.assertEqual(list(self.work.iterdir()), [], "the run leaves files behind")

    def test_many_files_some_of_them_empty(self) -> None:
        policy, predictions, labels = made.shop(self.folder, orders=3000, files=16)
        for folder in (predictions, labels):
            (folder / "part-00003-empty.jsonl").touch()
        outcome = self.judge(policy, predictions, labels, work=self.work, buckets=2, keep=True)
        self.assert_replays(outcome, self.expected(), 150)
        (kept,) = self.work.iterdir()
        self.assertTrue((kept / "merge1").is_dir(), "partials were not merged on the workers")

    def test_policy_and_snapshots_are_shipped(self) -> None:
        policy, predictions, labels = made.shop(self.folder, orders=1000, files=1)
        (self.control / "policy").write_text(str(policy))
        self.mode("shipped")
        with self.assertRaisesRegex(driftgate.Error, "the driver's policy"):
            self.judge(policy, predictions, labels, buckets=1)
        outcome = self.judge(policy, predictions, labels, buckets=1, ship=True)
        self.assert_replays(outcome, self.expected(), 100)
        self.assertIn("1", {verdict["version"] for verdict in outcome.verdicts})

    def test_without_labels_and_with_relative_paths(self) -> None:
        made.shop(self.folder, orders=3000, files=3, policy=made.UNLABELLED)
        before = Path.cwd()
        os.chdir(self.folder)
        self.addCleanup(os.chdir, before)
        parts = ["predictions/part-00000.jsonl", Path("predictions/part-00001.jsonl"), "predictions/part-00002.jsonl"]
        outcome = self.judge("policy.yaml", parts)
        self.assert_replays(outcome, self.expected(labels=False), 60)

    def test_tasks_that_fail_are_tried_again_and_count_once(self) -> None:
        policy, predictions, labels = made.shop(self.folder, orders=2000, files=3)
        tried = self.control / "tried"
        tried.mkdir()
        self.addCleanup(shutil.rmtree, tried)
        self.mode("once")
        outcome = self.judge(policy, predictions, labels, buckets=2)
        # Six splits are scanned and shared, two buckets joined, three splits counted.
        self.assertEqual(len(list(tried.iterdir())), 6 + 6 + 2 + 3)
        self.assert_replays(outcome, self.expected(), 150)

    def test_a_wrong_policy_is_told_by_the_worker(self) -> None:
        policy, predictions, labels = made.shop(self.folder, orders=100, files=2)
        policy.write_text(policy.read_text().replace("psi:", "psy:"))
        error = self.assert_fails((policy, predictions, labels), "psy")
        self.assertEqual(error.host, socket.gethostname())
        self.assertIn("--pass scan", error.command)

    def test_a_file_that_is_gone_or_another_one_after_the_first_pass(self) -> None:
        self.mode("share")
        for number, command in enumerate(('rm -f "$file"', 'tail -n 1 "$file" >>"$file"')):
            files = made.shop(self.folder / str(number), orders=200, files=2)
            (self.control / "command").write_text(f"file='{files[1]}/part-00001.jsonl'\n{command}\n")
            with self.subTest(command):
                error = self.assert_fails(files, "part-00001")
                self.assertIn("--pass share", error.command)

    def test_a_worker_without_the_snapshots(self) -> None:
        files = made.shop(self.folder, orders=300, files=2)
        (self.control / "elsewhere").mkdir()
        shutil.copy(files[0], self.control / "elsewhere")
        self.addCleanup(shutil.rmtree, self.control / "elsewhere")
        self.mode("elsewhere")
        self.assert_fails(files, "snapshot|baseline")

    def test_a_folder_for_the_work_that_cannot_be_made(self) -> None:
        policy, predictions, labels = made.shop(self.folder, orders=100, files=1)
        with self.assertRaisesRegex(driftgate.Error, "cannot be made") as raised:
            self.judge(policy, predictions, labels, work=policy)
        self.assertIsNone(raised.exception.code)
