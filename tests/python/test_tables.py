"""Tables of pandas, polars and pyarrow in place of files, and what a notebook shows; needs these three packages."""

from __future__ import annotations

import os
import shutil
import tempfile
import unittest
from pathlib import Path
from typing import Any, Optional
from unittest import mock

import driftgate
import pandas
import polars
import pyarrow
from driftgate import _frames

FLIGHTS = Path(__file__).resolve().parents[1] / "data" / "flight_delays"
POLICY = Path(__file__).resolve().parents[2] / "config" / "policies" / "flight-delays.yaml"


class Stream:
    """What has nothing but the protocol of Arrow."""

    def __init__(self, table: pyarrow.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, schema: Optional[object] = None) -> object:
        return self.table.__arrow_c_stream__(schema)


class Tables(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="driftgate test "))
        self.addCleanup(shutil.rmtree, self.folder)
        text = POLICY.read_text(encoding="utf-8").replace("train_v{version}", f"{FLIGHTS}/train_v{{version}}")
        self.policy = self.folder / "policy.yaml"
        self.policy.write_text(text, encoding="utf-8")
        self.predictions, self.labels = FLIGHTS / "predictions.parquet", FLIGHTS / "labels.parquet"
        self.expected = driftgate.replay(self.policy, self.predictions, self.labels, threads=1)

    def judged(self, predictions: Any, labels: Any) -> driftgate.Outcome:
        return driftgate.replay(self.policy, predictions, labels, threads=1)

    def test_verdicts_of_tables_are_those_of_the_files(self) -> None:
        self.assertGreater(len(self.expected.verdicts), 20)
        frames = [pandas.read_parquet(path) for path in (self.predictions, self.labels)]
        shuffled_index = [frame.set_index(pandas.Index(range(len(frame), 0, -1), name="row")) for frame in frames]
        arrow = [pyarrow.Table.from_pandas(frame, preserve_index=False) for frame in frames]
        of_polars = [polars.read_parquet(path) for path in (self.predictions, self.labels)]
        for name, tables in [
            ("pandas", frames),
            ("an index of its own", shuffled_index),
            ("polars", of_polars),
            ("lazy polars", [frame.lazy() for frame in of_polars]),
            ("pyarrow", arrow),
            ("the protocol", [Stream(table) for table in arrow]),
            ("a table beside a file", [frames[0], self.labels]),
        ]:
            with self.subTest(name):
                self.assertEqual(self.judged(*tables).verdict_lines, self.expected.verdict_lines)

    def test_what_is_wrong_with_a_table_is_told(self) -> None:
        frame = pandas.read_parquet(self.predictions)
        with self.assertRaisesRegex(driftgate.Error, "no column"):
            self.judged(frame.drop(columns=["ts"]), self.labels)
        mixed = frame.assign(score=[{1: "a"}, *([b"x"] * (len(frame) - 1))])
        with self.assertRaisesRegex(driftgate.Error, "the table of predictions cannot be written as Parquet"):
            self.judged(mixed, self.labels)
        with self.assertRaisesRegex(driftgate.Error, "2 files of labels beside a table"):
            self.judged(frame, [self.labels, self.labels])
        with mock.patch.dict("sys.modules", {"pyarrow": None}):
            with self.assertRaisesRegex(driftgate.Error, "pip install pyarrow"):
                _frames.written(Stream(pyarrow.table({"a": [1]})), str(self.folder), "predictions")

    def test_a_notebook_shows_the_report_and_a_frame_has_every_result(self) -> None:
        page = self.expected.report
        self.assertIn("<html", page.html)
        self.assertNotIn("<script", page.html)
        shown = self.expected._repr_html_()
        self.assertTrue(shown.startswith('<iframe srcdoc="&lt;!') and shown.count('"') == 4, shown[:60])
        page.save(self.folder / "report.html")
        self.assertEqual((self.folder / "report.html").read_text(encoding="utf-8"), page.html)
        found = self.expected.frame()
        results = sum(len(verdict["results"]) for verdict in self.expected.verdicts)
        self.assertEqual(len(found), results)
        self.assertEqual(str(found["end"].dt.tz), "UTC")
        worst = found[found["rule"] == "errors/mae"].sort_values("value").iloc[-1]
        self.assertGreater(worst["value"], 0)
        self.assertEqual(driftgate.Outcome(b"", b"").frame().shape, (0, 12))

    def test_a_table_is_published(self) -> None:
        topic = os.environ["DRIFTGATE_TEST_TOPIC"]
        frame = pandas.read_parquet(self.predictions).head(500)
        brokers = os.environ["DRIFTGATE_TEST_BROKERS"]
        said = driftgate.emit(frame, topic, self.policy, brokers=brokers)
        self.assertEqual((said["kind"], said["published"]), ("predictions", 500))
        again = driftgate.emit(self.labels, topic, self.policy, kind="labels", brokers=brokers)
        self.assertEqual(again["kind"], "labels")
        with self.assertRaises(driftgate.Error):
            driftgate.emit(frame, "no-such-topic-of-these-tests", self.policy, brokers=brokers)


if __name__ == "__main__":
    unittest.main()
