#!/usr/bin/env python3
"""How often rules block without drift, and which shift they find.

Made-up days of a model are judged by the binary: 300 days of 2,000 rows that are drawn as the snapshot was, once independently, once
as ten rows of each unit that say nearly the same, and once more with the policy's `unit`; then days whose rows are shifted step by step, at three sizes.
`make simulate` writes docs/reference/rules.md.

    simulate.py BINARY OUT.md        (needs numpy and pyarrow)
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

DAY = 86_400_000
START = 18_262 * DAY
SNAPSHOT = 20_000
DAYS = 300
ROWS = 2_000
SIZES = [500, 2_000, 10_000]
SHIFTS = [0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5]
WINDOWS = 20
UNIT = 10
# The share of a value's variance that rows of one unit have in common.
COMMON = 0.9


class Rule(NamedTuple):
    """A rule as it is written, and what is shifted for it."""

    id: str
    text: str
    shifted: str


RULES = [
    Rule("psi", "psi: {of: x, lt: 0.2}", "value"),
    Rule("psi_tight", "psi: {of: x, lt: 0.1}", "value"),
    Rule("psi_alpha", "psi: {of: x, alpha: 0.001}", "value"),
    Rule("psi_alpha_floor", "psi: {of: x, alpha: 0.001, floor: 0.1}", "value"),
    Rule("psi_lasts", "psi: {of: x, alpha: 0.01, for: 3 of 5}", "value"),
    Rule("ks_p", "ks_p: {of: x, gte: 0.01}", "value"),
    Rule("ks_p_effect", "ks_p: {of: x, gte: 0.01, min_effect: 0.1}", "value"),
    Rule("ks_lcb", "ks_lcb: {of: x, lt: 0.05, budget: 0.01}", "value"),
    Rule("ks", "ks: {of: x, lt: 0.1}", "value"),
    Rule("js", "js: {of: x, lt: 0.1}", "value"),
    Rule("hellinger", "hellinger: {of: x, lt: 0.1}", "value"),
    Rule("l_inf", "l_inf: {of: x, lt: 0.05}", "value"),
    Rule("wasserstein", "wasserstein: {of: x, lt: 0.1}", "value"),
    Rule("mean", "mean: {of: x, max_increase: {sigmas: 0.1}}", "value"),
    Rule("psi_category", "psi: {of: c, lt: 0.1}", "category"),
    Rule("new_categories", "new_categories: {of: c, lte: 0.01}", "category"),
    Rule("missing_rate", "missing_rate: {of: x, max_increase: 0.01}", "missing"),
    Rule("accuracy", "accuracy: {max_drop: 0.03}", "label"),
    Rule("recall", "recall: {max_drop: 0.05}", "label"),
    Rule("auc", "auc: {max_drop: 0.03}", "label"),
    Rule("brier", "brier: {max_increase: 0.02}", "label"),
    Rule("log_loss", "log_loss: {max_increase: 0.05}", "label"),
    Rule("ece", "ece: {lt: 0.05}", "label"),
    Rule("selection_rate", "selection_rate: {max_increase: 0.05}", "value"),
    Rule("tpr_gap", "gap: {of: recall, by: s, lt: 0.1}", "segment"),
    Rule("tpr_gap_lcb", "gap_lcb: {of: recall, by: s, lte: 0.1}", "segment"),
    Rule("estimated", "estimated: {of: accuracy, max_drop: 0.03}", "spread"),
]
# Rules that have a budget by themselves.
WITHOUT = {"ks_lcb"}
RULES = [
    each
    for rule in RULES
    for each in (rule, Rule(f"{rule.id}_budget", rule.text[:-1] + ", budget: 1/month}", rule.shifted))
    if each is rule or rule.id not in WITHOUT
]
TEXT = """# How often rules block without drift, and what they find

Written by `make simulate` ([simulate.py](../../benches/simulate.py) says how; its draws are seeded). A snapshot of
{snapshot:,} rows, and days of one model:

- **false blocks**: days that block of {days} days of {rows:,} rows, drawn as the snapshot was, independently.
  **dependent**: the same of rows of which {unit} each are of one unit (a user, a device), and have {common:.0%} of their
  variance in common. Most rules take rows for independent. **with unit**: the same with `unit` in the policy and in the
  snapshot, which `ks_lcb`, `gap_lcb` and budgets take into account.
- **found at n**: the smallest shift from which on half of {windows} days of n rows block. Tried are {tried}.
  "none" finds none of these; "too few" is `insufficient` at that size.

A limit that does not know n (`lt: 0.2`) blocks more often the fewer rows a window has; `alpha`, `ks_lcb` and `budget` know it. With
`budget: 1/month` a rule may block falsely on {budget} of {days} days, on average.
[`driftgate tune`](../guide/tune.md) finds limits by a model's own history.

"""
UNITS = {
    "value": "standard deviations",
    "category": "share of one new category",
    "missing": "share of missing values",
    "label": "share of labels of the other class",
    "segment": "the same in one of three segments",
    "spread": "share of the spread that is lost",
}


def policy(unit: str = "") -> str:
    rules = "".join(f"    - {rule.text.replace('{', '{id: ' + rule.id + ', ', 1)}\n" for rule in RULES)
    return (
        "apiVersion: driftgate/v1\nmodel: m\n"
        "baseline: {snapshot: train.parquet, columns: {score: score, label: label}, reference: held.parquet}\n"
        "features: {numeric: [x], categorical: [c]}\nscore: {threshold: 0.5}\nsegments: [s]\n"
        "labels: {horizon: 1d}\nlateness: 0s\nmin_samples: 200\nmin_reference: 200\n"
        f"{unit}checks:\n  g:\n    window: {{size: 1d, slide: 1d}}\n    rules:\n{rules}"
    )


def normal(rng: np.random.Generator, n: int, unit: int) -> np.ndarray:
    """Standard normal values, of which `unit` after each other have most in common."""
    if unit == 1:
        return rng.standard_normal(n)
    common = np.repeat(rng.standard_normal(-(-n // unit)), unit)[:n]
    return np.sqrt(COMMON) * common + np.sqrt(1 - COMMON) * rng.standard_normal(n)


def rows(rng: np.random.Generator, n: int, unit: int = 1, kind: str = "", shift: float = 0.0) -> dict[str, Any]:
    """Rows of the model: the score is the calibrated probability of a positive label, by the feature x."""
    x = normal(rng, n, unit)
    category = np.digitize(normal(rng, n, unit), [-1, 0, 0.5, 1.5]).astype(str)
    segment = np.digitize(normal(rng, n, unit), [-0.43, 0.43])
    seen = x + shift if kind == "value" else x * max(0.0, 1 - shift) if kind == "spread" else x
    score = np.round(1 / (1 + np.exp(-2 * seen)), 4)
    label = (rng.random(n) < score).astype(np.int8)
    if kind in ("label", "segment"):
        turned = (rng.random(n) < shift) & ((segment == 0) | (kind == "label"))
        label = np.where(turned, 1 - label, label)
    if kind == "category":
        category = np.where(rng.random(n) < shift, "new", category)
    if kind == "missing":
        seen = np.where(rng.random(n) < shift, np.nan, seen)
    return {
        "x": np.round(seen, 4),
        "c": category,
        "s": np.array(["a", "b", "c"])[segment],
        "score": score,
        "label": label,
        "u": np.arange(n) // unit,
    }


def judged(binary: str, folder: Path, days: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Of each rule the status of each day."""
    events = {key: np.concatenate([day[key] for day in days]) for key in days[0]}
    sizes = [len(day["x"]) for day in days]
    ts = np.concatenate([START + at * DAY + np.arange(n) * (DAY // (n + 1)) for at, n in enumerate(sizes)])
    ids = pa.array(np.arange(len(ts)).astype(str))
    column = lambda name: pa.array(events[name], from_pandas=True)  # noqa: E731
    predictions = {"prediction_id": ids, "version": pa.array(["1"] * len(ts)), "ts": ts}
    pq.write_table(pa.table({**predictions, **{k: column(k) for k in ("x", "c", "s", "score")}}), folder / "p.parquet")
    pq.write_table(pa.table({"prediction_id": ids, "ts": ts, "label": events["label"]}), folder / "l.parquet")
    files = ["--predictions", folder / "p.parquet", "--labels", folder / "l.parquet", "--verdicts", folder / "v.jsonl"]
    subprocess.run([binary, "replay", "--policy", folder / "policy.yaml", *files], check=True, capture_output=True)
    found: dict[str, list[str]] = defaultdict(lambda: ["insufficient"] * len(days))
    for line in (folder / "v.jsonl").read_text(encoding="utf-8").splitlines():
        verdict = json.loads(line)
        start = np.datetime64(verdict["window"]["start"].rstrip("Z")).astype("datetime64[ms]").astype(int)
        day = int((start - START) // DAY)
        if not 0 <= day < len(days):
            continue
        for result in verdict["results"]:
            # A breach that does not last as long as `for` asks is pending.
            status = "pending" if result.get("pending") else result["status"]
            found[result["rule"].removeprefix("g/")][day] = status
    return found


def shifts_found(binary: str, folder: Path, rng: np.random.Generator, n: int) -> dict[str, str]:
    """Of each rule the smallest shift from which on half of the days block."""
    answer = {}
    for kind in UNITS:
        days = [rows(rng, n, kind=kind, shift=shift) for shift in [0.0, *SHIFTS] for _ in range(WINDOWS)]
        found = judged(binary, folder, days)
        for rule in (rule for rule in RULES if rule.shifted == kind):
            steps = [found[rule.id][at * WINDOWS : (at + 1) * WINDOWS] for at in range(len(SHIFTS) + 1)]
            blocks = [step.count("block") * 2 >= WINDOWS for step in steps]
            first = next((at for at in range(1, len(blocks)) if all(blocks[at:])), None)
            few = all(status == "insufficient" for step in steps for status in step)
            answer[rule.id] = "too few" if few else "none" if first is None else f"{SHIFTS[first - 1]:g}"
    return answer


def main() -> None:
    binary, out = sys.argv[1:]
    rng = np.random.default_rng(20261129)
    with tempfile.TemporaryDirectory(prefix="driftgate-simulate-") as name:
        folder = Path(name)
        (folder / "policy.yaml").write_text(policy(), encoding="utf-8")
        for snapshot in ("train", "held"):
            pq.write_table(pa.table(rows(rng, SNAPSHOT)), folder / f"{snapshot}.parquet")
        alone = judged(binary, folder, [rows(rng, ROWS) for _ in range(DAYS)])
        dependent = [rows(rng, ROWS, UNIT) for _ in range(DAYS)]
        units = judged(binary, folder, dependent)
        shifts = {n: shifts_found(binary, folder, rng, n) for n in SIZES}
        (folder / "policy.yaml").write_text(policy("unit: /u\n"), encoding="utf-8")
        pq.write_table(pa.table(rows(rng, SNAPSHOT, UNIT)), folder / "train.parquet")
        told = judged(binary, folder, dependent)
    lines = [
        f"| `{rule.text}` | {alone[rule.id].count('block')} | {units[rule.id].count('block')} | {told[rule.id].count('block')} | "
        + " | ".join(shifts[n][rule.id] for n in SIZES)
        + f" | {UNITS[rule.shifted]} |"
        for rule in RULES
    ]
    heads = " | ".join(f"found at {n:,}" for n in SIZES)
    table = [f"| rule | false blocks | dependent | with unit | {heads} | shift |", "|---|---|---|---|---|---|---|---|", *lines]
    tried = ", ".join(f"{shift:g}" for shift in SHIFTS)
    text = TEXT.format(
        snapshot=SNAPSHOT, days=DAYS, rows=ROWS, unit=UNIT, common=COMMON, windows=WINDOWS, tried=tried, budget=DAYS // 30
    )
    Path(out).write_text(text + "\n".join(table) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
