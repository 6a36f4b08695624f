"""The package on one machine, with the binary in `DRIFTGATE_BINARY` or the one of its own wheel."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import driftgate
import made


class Replay(unittest.TestCase):
    """A folder for each test, with a space in its name."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="driftgate test "))
        self.addCleanup(shutil.rmtree, self.folder)

    def test_verdicts_and_signals_are_those_of_the_command(self) -> None:
        policy, _, _ = made.shop(self.folder, orders=4000, files=1)
        predictions, labels = self.folder / "predictions.jsonl", self.folder / "labels.jsonl"
        outcome = driftgate.replay(policy, predictions, labels, threads=1)
        verdicts, signals = made.replayed(self.folder, policy, predictions, labels)
        self.assertEqual(outcome.verdict_lines, verdicts)
        self.assertEqual(outcome.signal_lines, signals)
        self.assertGreater(len(outcome.verdicts), 100)
        self.assertEqual(outcome.verdicts, [json.loads(line) for line in verdicts.splitlines()])
        self.assertIn("block", [signal["action"] for signal in outcome.signals])
        self.assertEqual(outcome.summary["windows"], len(outcome.verdicts))

    def test_relative_paths_and_file_addresses(self) -> None:
        policy, _, _ = made.shop(self.folder, orders=500, files=1)
        before = Path.cwd()
        os.chdir(self.folder)
        self.addCleanup(os.chdir, before)
        relative = driftgate.replay("policy.yaml", Path("predictions.jsonl"), "labels.jsonl")
        address = driftgate.replay(policy, (self.folder / "predictions.jsonl").as_uri(), self.folder / "labels.jsonl")
        self.assertGreater(len(relative.verdicts), 50)
        self.assertEqual(relative.verdict_lines, address.verdict_lines)

    def test_an_error_has_the_text_and_the_exit_code_and_can_be_sent(self) -> None:
        policy, _, _ = made.shop(self.folder, orders=100, files=1)
        with self.assertRaises(driftgate.Error) as raised:
            driftgate.replay(policy, self.folder / "predictions.jsonl")
        self.assertEqual(raised.exception.code, 2)
        self.assertIn("need --labels", raised.exception.text)
        self.assertIn("exit code 2", str(raised.exception))
        sent = pickle.loads(pickle.dumps(raised.exception))
        self.assertEqual((str(sent), sent.code), (str(raised.exception), 2))

    def test_a_binary_that_is_not_there_or_is_killed(self) -> None:
        with mock.patch.dict(os.environ, {"DRIFTGATE_BINARY": str(self.folder / "gone")}):
            with self.assertRaisesRegex(driftgate.Error, "DRIFTGATE_BINARY names .*gone") as raised:
                driftgate.version()
        self.assertIsNone(raised.exception.code)
        killed = self.folder / "killed"
        killed.write_text("#!/bin/sh\nkill -9 $$\n")
        killed.chmod(0o755)
        with mock.patch.dict(os.environ, {"DRIFTGATE_BINARY": str(killed)}):
            with self.assertRaisesRegex(driftgate.Error, "signal 9 ended it") as raised:
                driftgate.version()
        self.assertIsNone(raised.exception.code)

    def test_the_module_runs_the_binary(self) -> None:
        said = subprocess.run([sys.executable, "-m", "driftgate", "--version"], check=True, capture_output=True)
        self.assertEqual(said.stdout.decode(), f"driftgate {driftgate.version()}\n")
        self.assertRegex(driftgate.version(), r"^\d+\.\d+\.\d+")


if __name__ == "__main__":
    unittest.main()
