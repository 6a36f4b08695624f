#!/usr/bin/env python3
"""How much slower a policy with every rule counts than one with PSI and KS alone, over 100 features.

    benches/every_rule.py [--rows 1600000] [--rounds 5] [--threads 2]       (needs numpy and pyarrow)

Writes a snapshot of 20,000 rows, predictions and labels of four days as Parquet, and replays both policies in turn, in the same run, over the same
files. Each group has windows of an hour; rules that read labels stand in the policy with every rule only, which reads the labels too. Prints
the seconds of each (the best of the rounds, and all of them) and the ratio. DRIFTGATE names the binary (target/release/driftgate).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FEATURES = 100
SNAPSHOT = 20_000
DAY = 86_400_000
START = 20_454 * DAY

HEAD = """apiVersion: driftgate/v1
model: m
baseline: {{snapshot: train.parquet, columns: {{score: score, label: label}}}}
features: {{numeric: [{numeric}], categorical: [c]}}
score: {{threshold: 0.5}}
segments: [s]
labels: {{horizon: 2d}}
lateness: 0s
min_samples: 100
checks:
  all:
    window: {{size: 1h, slide: 1h}}
    rules:
    - psi: {{of: features, lt: 0.2}}
    - ks_p: {{of: features, gte: 0.01}}
"""
ON_FEATURES = """    - ks_lcb: {of: NUMERIC, lte: 0.1}
    - ks: {of: NUMERIC, lt: 0.2}
    - js: {of: features, lt: 0.2}
    - hellinger: {of: features, lt: 0.2}
    - l_inf: {of: features, lt: 0.2}
    - wasserstein: {of: NUMERIC, lt: 0.5}
    - missing_rate: {of: features, lt: 0.1}
    - invalid_rate: {of: features, lt: 0.1}
    - out_of_range: {of: NUMERIC, lt: 0.1}
    - new_categories: {of: c, lt: 0.1}
    - constant: {of: features, lt: 0.9}
    - mean: {of: NUMERIC, lt: 100}
    - drifted_share: {of_rule: all/psi, lt: 0.5}
    - psi: {id: psi_by, of: [x0, x1, x2, x3], by: s, lt: 9}
    - volume: {gte: 10}
    - selection_rate: {lt: 0.9}
    - selection_gap: {by: s, lt: 0.5}
    - disparate_impact: {by: s, gte: 0.1}
    - latency_p95_ms: {lt: 80}
    - error_rate: {lt: 0.01}
"""
ON_LABELS = """    - label_rate: {lte: 0.9}
    - label_coverage: {gte: 0.1}
    - accuracy: {gte: 0.1}
    - precision: {gte: 0.1}
    - recall: {gte: 0.1}
    - specificity: {gte: 0.1}
    - f1: {gte: 0.1}
    - balanced_accuracy: {gte: 0.1}
    - fpr: {lt: 0.9}
    - fnr: {lt: 0.9}
    - fdr: {lt: 0.9}
    - for: {lt: 0.9}
    - auc: {gte: 0.1}
    - log_loss: {lt: 10}
    - brier: {lt: 0.9}
    - ece: {lt: 0.9}
    - estimated: {of: accuracy, gte: 0.1}
    - tpr_gap: {by: s, lt: 0.5}
    - fpr_gap: {by: s, lt: 0.5}
    - equalized_odds: {by: s, lt: 0.5}
    - average_odds: {by: s, lt: 0.5}
    - tpr_gap_lcb: {by: s, lte: 0.5}
    - tpr_drop: {by: s, max: 0.5}
    - tpr_drop_lcb: {by: s, max: 0.5}
    - gap: {of: accuracy, by: s, lt: 0.5}
    - ratio: {of: precision, by: s, gte: 0.1}
    - gap_lcb: {of: accuracy, by: s, lte: 0.5}
"""


def write(folder: Path, rows: int) -> None:
    rng = np.random.default_rng(7)

    def columns(n: int) -> dict[str, np.ndarray]:
        score = np.round(rng.random(n), 3)
        return {
            **{f"x{at}": np.round(rng.standard_normal(n), 3) for at in range(FEATURES)},
            "c": rng.integers(0, 8, n).astype(str),
            "s": np.array(["a", "b", "d"])[rng.integers(0, 3, n)],
            "score": score,
            "label": (rng.random(n) < score).astype(np.int8),
        }

    pq.write_table(pa.table(columns(SNAPSHOT)), folder / "train.parquet")
    found = columns(rows)
    ts = START + np.sort(rng.integers(0, 4 * DAY, rows))
    ids = pa.array(np.arange(rows).astype(str))
    label = found.pop("label")
    service = {"latency_ms": rng.gamma(4, 5, rows), "error": rng.random(rows) < 0.001}
    predictions = {"prediction_id": ids, "version": pa.array(["1"] * rows), "ts": ts, **found, **service}
    pq.write_table(pa.table(predictions), folder / "p.parquet")
    pq.write_table(pa.table({"prediction_id": ids, "ts": ts + 60_000, "label": label}), folder / "l.parquet")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_600_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    binary = os.environ.get("DRIFTGATE", "target/release/driftgate")
    numeric = ", ".join(f"x{at}" for at in range(FEATURES))
    head = HEAD.format(numeric=numeric)
    every = head + ON_FEATURES.replace("NUMERIC", f"[{numeric}]")
    with tempfile.TemporaryDirectory(prefix="driftgate-every-rule-") as name:
        folder = Path(name)
        write(folder, args.rows)
        files = ["--predictions", folder / "p.parquet", "--threads", str(args.threads), "--verdicts", folder / "v.jsonl"]
        labels = ["--labels", folder / "l.parquet"]
        runs = {
            "psi and ks_p": (head, files),
            "every rule on predictions": (every, files),
            "psi and ks_p, labels read as well": (head, files + labels),
            "every rule, with labels": (every + ON_LABELS, files + labels),
        }
        times: dict[str, list[float]] = {run: [] for run in runs}
        for _ in range(args.rounds):
            for run, (text, of) in runs.items():
                (folder / "policy.yaml").write_text(text, encoding="utf-8")
                start = time.perf_counter()
                subprocess.run(
                    [binary, "replay", "--policy", folder / "policy.yaml", *of], check=True, stdout=subprocess.DEVNULL
                )
                times[run].append(time.perf_counter() - start)
    best = {run: min(all_times) for run, all_times in times.items()}
    bases = {"every rule on predictions": "psi and ks_p", "every rule, with labels": "psi and ks_p, labels read as well"}
    print(f"{args.rows:,} predictions of {FEATURES} numbers, a category and a segment, {args.threads} threads")
    for run, all_times in times.items():
        beside = f", {best[bases[run]] / best[run]:.0%} of the speed of {bases[run]}" if run in bases else ""
        shown = ", ".join(f"{seconds:.2f}" for seconds in all_times)
        print(f"{run}: {best[run]:.2f} s ({shown}){beside}")


if __name__ == "__main__":
    main()
