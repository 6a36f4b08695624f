"""The passes as another engine would call them: bytes in, bytes out."""

from __future__ import annotations

import random
import shutil
import tempfile
import unittest
from pathlib import Path

import driftgate
import made


class Passes(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="driftgate test "))
        self.addCleanup(shutil.rmtree, self.folder)

    def test_any_tree_of_merges_gives_the_bytes_of_the_replay(self) -> None:
        policy, predictions, labels = made.shop(self.folder, orders=3000, files=2)
        placed = [
            (kind, place, split)
            for kind, folder in (("predictions", predictions), ("labels", labels))
            for place, split in enumerate(driftgate.splits(folder, split_bytes=100_000))
        ]
        self.assertGreater(len(placed), 5)
        scans = [driftgate.scan(policy, split, place=place, kind=kind) for kind, place, split in placed]
        random.Random(1).shuffle(scans)
        first = driftgate.carry(policy, scans, buckets=2)
        said = driftgate.describe(policy, first)
        self.assertEqual((said["pairs"], said["buckets"], len(said["splits"])), (True, 2, len(placed)))
        shared = [driftgate.share(policy, split, first, place=place, kind=kind) for kind, place, split in placed]
        paired = [driftgate.pair(policy, first, reversed(shared), bucket=bucket) for bucket in range(2)]
        second = driftgate.carry_pairs(policy, first, paired)
        counted = [(place, split) for kind, place, split in placed if kind == "predictions"]
        partials = [driftgate.count(policy, split, second, place=place) for place, split in counted]
        everything = partials + paired

        expected = made.replayed(self.folder, policy, self.folder / "predictions.jsonl", self.folder / "labels.jsonl")
        self.assertGreater(len(expected[0].splitlines()), 150)
        merged = []
        for seed in range(3):
            outcome, whole = self.judged(policy, everything, random.Random(seed))
            self.assertEqual((outcome.verdict_lines, outcome.signal_lines), expected)
            merged.append(whole)
        self.assertEqual(len(set(merged)), 1, "the tree of merges shows in the merged partial")
        self.refusals(policy, everything)

    def judged(self, policy: Path, partials: list[bytes], order: random.Random) -> tuple[driftgate.Outcome, bytes]:
        """Merges by a tree of its own, up to one partial."""
        level = list(partials)
        while len(level) > 1:
            order.shuffle(level)
            together = order.randrange(2, len(level) + 1)
            level = [driftgate.merge(level[:together]), *level[together:]]
        return driftgate.judge(policy, level), level[0]

    def refusals(self, policy: Path, partials: list[bytes]) -> None:
        """No verdicts where something is missing, there twice, damaged, or another policy's."""
        damaged = bytearray(partials[0])
        damaged[len(damaged) // 2] ^= 1
        another = self.folder / "another.yaml"
        another.write_text(policy.read_text().replace("lt: 0.2", "lt: 0.3"))
        for what, by, given in (
            ("missing", policy, partials[1:]),
            ("twice", policy, [*partials, partials[0]]),
            ("damaged", policy, [bytes(damaged), *partials[1:]]),
            ("cut", policy, [partials[0][:-1], *partials[1:]]),
            ("no partial", policy, [b"no partial", *partials[1:]]),
            ("another policy", another, partials),
        ):
            with self.subTest(what), self.assertRaises(driftgate.Error) as raised:
                driftgate.judge(by, given)
            self.assertEqual(raised.exception.code, 2, what)
            self.assertTrue(raised.exception.text, what)

    def test_a_folder_is_its_files_by_name_and_several_files_are_one_stream(self) -> None:
        policy, predictions, labels = made.shop(self.folder, orders=1000, files=3)
        (predictions / "part-00001.jsonl").rename(predictions / "part-00001: a.jsonl")
        names = [Path(split).name for split in driftgate.splits(predictions)]
        self.assertEqual(names, ["part-00000.jsonl", "part-00001: a.jsonl", "part-00002.jsonl"])
        outcome = driftgate.replay(policy, predictions, labels, threads=2)
        expected = made.replayed(self.folder, policy, self.folder / "predictions.jsonl", self.folder / "labels.jsonl")
        self.assertGreater(len(outcome.verdicts), 100)
        self.assertEqual((outcome.verdict_lines, outcome.signal_lines), expected)

    def test_files_that_cannot_be_read_are_named(self) -> None:
        (self.folder / "empty").mkdir()
        (self.folder / "a\nb.jsonl").touch()
        (self.folder / "a.txt").touch()
        for paths, says in (
            ("s3://bucket/data", "mount the store"),
            (self.folder / "gone.parquet", "there is no file .*gone.parquet"),
            (self.folder / "empty", "has no file that ends in"),
            (self.folder / "a\nb.jsonl", "line break"),
            (self.folder / "a.txt", "a.txt"),
            ([], "no event file"),
        ):
            with self.subTest(paths), self.assertRaisesRegex(driftgate.Error, says):
                driftgate.splits(paths)


if __name__ == "__main__":
    unittest.main()
