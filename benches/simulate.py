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
from collections.abc import Callable
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


class Model(NamedTuple):
    """A model: what its policy says beside `model` and rules, its rules, and its rows."""

    name: str
    head: str
    rules: list[Rule]
    # Draws rows: how many, how many of a unit, what is shifted, and how far.
    rows: Callable[..., dict[str, Any]]
    seed: int
    # The time by which labelled predictions belong to a day.
    attribute: str = "label_time"


BINARY = [
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
# More of the same model, drawn apart.
MORE = [
    Rule("out_of_range", "out_of_range: {of: x, range: [-3, 3], lt: 0.01}", "value"),
    Rule("constant", "constant: {of: c, max_increase: 0.05}", "category"),
    Rule("label_rate", "label_rate: {max_increase: 0.05}", "value"),
    Rule("label_coverage", "label_coverage: {gte: 0.9}", "unlabelled"),
    Rule("precision", "precision: {max_drop: 0.05}", "label"),
    Rule("specificity", "specificity: {max_drop: 0.05}", "label"),
    Rule("f1", "f1: {max_drop: 0.05}", "label"),
    Rule("balanced", "balanced_accuracy: {max_drop: 0.03}", "label"),
    Rule("fpr", "fpr: {max_increase: 0.05}", "label"),
    Rule("fdr", "fdr: {max_increase: 0.05}", "label"),
    Rule("equalized_odds", "equalized_odds: {by: s, lt: 0.1}", "segment"),
    Rule("average_odds", "average_odds: {by: s, lt: 0.1}", "segment"),
    Rule("selection_gap", "gap: {of: selection_rate, by: s, lt: 0.1}", "selected"),
    Rule("impact", "disparate_impact: {by: s, gte: 0.8}", "selected"),
    Rule("ratio", "ratio: {of: precision, by: s, gte: 0.9}", "segment"),
    Rule("psi_all", "psi: {of: [x, c, score], lt: 0.1}", "value"),
    Rule("drifted_share", "drifted_share: {of_rule: g/psi_all, lt: 0.5}", "value"),
    Rule("estimated_auc", "estimated: {of: auc, max_drop: 0.03}", "spread"),
    Rule("estimated_precision", "estimated: {of: precision, max_drop: 0.03}", "spread"),
    Rule("latency", "latency_p95_ms: {lt: 250}", "latency"),
    Rule("error_rate", "error_rate: {lt: 0.02, unit: fraction}", "failed"),
    Rule("volume", "volume: {max_drop: {relative: 0.2}, versus: previous}", "volume"),
]
REGRESSION = [
    Rule("mae", "mae: {max_increase: {relative: 0.1}}", "noise"),
    Rule("rmse", "rmse: {max_increase: {relative: 0.1}}", "noise"),
    Rule("mape", "mape: {max_increase: {relative: 0.1}}", "noise"),
    Rule("r2", "r2: {max_drop: 0.03}", "noise"),
    Rule("mean_error", "mean_error: {between: [-0.1, 0.1]}", "bias"),
    Rule("gap_mae", "gap: {of: mae, by: s, lt: 0.2}", "noisy_segment"),
    Rule("gap_rmse", "gap: {of: rmse, by: s, lt: 0.2}", "noisy_segment"),
    Rule("gap_r2", "gap: {of: r2, by: s, lt: 0.1}", "noisy_segment"),
    Rule("ratio_mape", "ratio: {of: mape, by: s, gte: 0.5}", "noisy_segment"),
    Rule("psi_label", "psi: {of: label, lt: 0.1}", "value"),
    Rule("mean_score", "mean: {of: score, max_increase: {sigmas: 0.1}}", "value"),
]
MULTICLASS = [
    Rule("accuracy", "accuracy: {max_drop: 0.03}", "label"),
    Rule("balanced", "balanced_accuracy: {max_drop: 0.03}", "label"),
    Rule("f1_macro", "f1: {average: macro, max_drop: 0.03}", "label"),
    Rule("precision_weighted", "precision: {average: weighted, max_drop: 0.03}", "label"),
    Rule("recall_b", "recall: {class: b, max_drop: 0.05}", "label"),
    Rule("gap_recall", "gap: {of: recall, by: s, lt: 0.1}", "segment"),
    Rule("gap_balanced", "gap: {of: balanced_accuracy, by: s, lt: 0.1}", "segment"),
    Rule("psi_prediction", "psi: {of: prediction, lt: 0.1}", "value"),
]
# Rules that have a budget by themselves.
WITHOUT = {"ks_lcb"}


def twice(rules: list[Rule]) -> list[Rule]:
    """Each rule, and behind it the same with a budget where it has none by itself."""
    return [
        each
        for rule in rules
        for each in (rule, Rule(f"{rule.id}_budget", rule.text[:-1] + ", budget: 1/month}", rule.shifted))
        if each is rule or rule.id not in WITHOUT
    ]


TEXT = """# How often rules block without drift, and what they find

Written by `make simulate` ([simulate.py](../../benches/simulate.py) says how; its draws are seeded). A snapshot of
{snapshot:,} rows, and days of each of three models, which tell two classes apart, or three, or predict a number:

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
    "label": "share of labels of another class",
    "segment": "the same in one of three segments",
    "spread": "share of the spread that is lost",
    "unlabelled": "share of labels that do not come",
    "selected": "standard deviations in one of three segments",
    "latency": "share that latencies grow by",
    "failed": "share of requests that fail",
    "volume": "share of the events that do not come",
    "noise": "share that errors grow by",
    "noisy_segment": "the same in one of three segments",
    "bias": "standard deviations of the error",
}


def policy(model: Model, unit: str = "") -> str:
    rules = "".join(f"    - {rule.text.replace('{', '{id: ' + rule.id + ', ', 1)}\n" for rule in twice(model.rules))
    return (
        f"apiVersion: driftgate/v1\nmodel: m\n{model.head}features: {{numeric: [x], categorical: [c]}}\nsegments: [s]\n"
        f"labels: {{horizon: 1d, attribute: {model.attribute}}}\nlateness: 0s\nmin_samples: 200\nmin_reference: 200\n"
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


def more_rows(rng: np.random.Generator, n: int, unit: int = 1, kind: str = "", shift: float = 0.0) -> dict[str, Any]:
    """Rows of the same model with how it was served; as many as chance has it, and labels that do not all come."""
    n = int(rng.poisson(n * (1 - shift if kind == "volume" else 1)))
    found = rows(rng, max(n, 1), unit, kind, shift)
    n = len(found["x"])
    if kind == "selected":
        moved = np.where(found["s"] == "a", found["x"] - shift, found["x"])
        found["score"] = np.round(1 / (1 + np.exp(-2 * moved)), 4)
    gone = rng.random(n) < 0.02 + (shift if kind == "unlabelled" else 0.0)
    grown = 1 + (shift if kind == "latency" else 0.0)
    return {
        **found,
        "label": np.where(gone, np.nan, found["label"]),
        "latency_ms": np.round(grown * 100 * np.exp(0.5 * normal(rng, n, unit)), 2),
        "error": rng.random(n) < 0.01 + (shift if kind == "failed" else 0.0),
    }


def numbers(rng: np.random.Generator, n: int, unit: int = 1, kind: str = "", shift: float = 0.0) -> dict[str, Any]:
    """Rows of a model that predicts a number, which misses its label by a standard deviation of 1."""
    x = normal(rng, n, unit) + (shift if kind == "value" else 0.0)
    segment = np.digitize(normal(rng, n, unit), [-0.43, 0.43])
    grown = 1 + shift * ((kind == "noise") | ((kind == "noisy_segment") & (segment == 0)))
    score = 20 + 3 * x
    label = score - grown * normal(rng, n, unit) - (shift if kind == "bias" else 0.0)
    return {
        "x": np.round(x, 4),
        "c": np.array(["n"] * n),
        "s": np.array(["a", "b", "c"])[segment],
        "score": np.round(score, 4),
        "label": np.round(label, 4),
        "u": np.arange(n) // unit,
    }


def classes(rng: np.random.Generator, n: int, unit: int = 1, kind: str = "", shift: float = 0.0) -> dict[str, Any]:
    """Rows of a model that tells three classes apart, eight of ten times."""
    x = normal(rng, n, unit) + (shift if kind == "value" else 0.0)
    segment = np.digitize(normal(rng, n, unit), [-0.43, 0.43])
    predicted = np.digitize(x, [-0.5, 0.8])
    wrong = normal(rng, n, unit) > 0.8416
    turned = (rng.random(n) < shift) & ((kind == "label") | ((kind == "segment") & (segment == 0)))
    label = np.where(wrong | turned, (predicted + rng.integers(1, 3, n)) % 3, predicted)
    names = np.array(["a", "b", "c"])
    return {
        "x": np.round(x, 4),
        "c": np.array(["n"] * n),
        "s": names[segment],
        "prediction": names[predicted],
        "label": names[label],
        "u": np.arange(n) // unit,
    }


SNAPSHOT_OF_SCORES = "baseline: {snapshot: train.parquet, columns: {score: score, label: label}}\n"
REFERENCE = SNAPSHOT_OF_SCORES.replace("}}", "}, reference: held.parquet}") + "score: {threshold: 0.5}\n"
MODELS = [
    Model("Two classes", REFERENCE, BINARY, rows, 20261129),
    Model("Two classes: more rules, and how the model is served", REFERENCE, MORE, more_rows, 1, "prediction_time"),
    Model("Predicted numbers", "task: regression\n" + SNAPSHOT_OF_SCORES, REGRESSION, numbers, 2),
    Model(
        "Three classes",
        "task: multiclass\nclasses: [a, b, c]\n"
        "baseline: {snapshot: train.parquet, columns: {prediction: prediction, label: label}}\n",
        MULTICLASS,
        classes,
        3,
    ),
]


def judged(binary: str, folder: Path, days: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Of each rule the status of each day."""
    events = {key: np.concatenate([day[key] for day in days]) for key in days[0]}
    sizes = [len(day["x"]) for day in days]
    ts = np.concatenate([START + at * DAY + np.arange(n) * (DAY // (n + 1)) for at, n in enumerate(sizes)])
    ids = pa.array(np.arange(len(ts)).astype(str))
    columns = {name: pa.array(events[name], from_pandas=True) for name in events if name not in ("u", "label")}
    predictions = {"prediction_id": ids, "version": pa.array(["1"] * len(ts)), "ts": ts, **columns}
    pq.write_table(pa.table(predictions), folder / "p.parquet")
    labels = pa.table({"prediction_id": ids, "ts": ts, "label": pa.array(events["label"], from_pandas=True)})
    pq.write_table(labels.filter(labels["label"].is_valid()), folder / "l.parquet")
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
            name = result["rule"].removeprefix("g/")
            # Of a rule with several subjects the worst one counts.
            if status == "block" or found[name][day] != "block":
                found[name][day] = status
    return found


def shifts_found(binary: str, folder: Path, model: Model, rng: np.random.Generator, n: int) -> dict[str, str]:
    """Of each rule the smallest shift from which on half of the days block."""
    answer = {}
    rules = twice(model.rules)
    for kind in (kind for kind in UNITS if any(rule.shifted == kind for rule in rules)):
        # No share is above 1.
        steps_of = [shift for shift in [0.0, *SHIFTS] if kind != "volume" or shift < 1]
        # A rule that compares with the day before is judged on one that follows a usual one.
        before = [0.0] if kind == "volume" else []
        each = [[*before, shift] for shift in steps_of for _ in range(WINDOWS)]
        days = [model.rows(rng, n, kind=kind, shift=shift) for shifts in each for shift in shifts]
        found = judged(binary, folder, days)
        for rule in (rule for rule in rules if rule.shifted == kind):
            statuses = found[rule.id][len(before) :: len(before) + 1]
            steps = [statuses[at * WINDOWS : (at + 1) * WINDOWS] for at in range(len(steps_of))]
            blocks = [step.count("block") * 2 >= WINDOWS for step in steps]
            first = next((at for at in range(1, len(blocks)) if all(blocks[at:])), None)
            few = all(status == "insufficient" for step in steps for status in step)
            answer[rule.id] = "too few" if few else "none" if first is None else f"{SHIFTS[first - 1]:g}"
    return answer


def table(binary: str, model: Model) -> list[str]:
    """The model's part of the page."""
    rng = np.random.default_rng(model.seed)
    with tempfile.TemporaryDirectory(prefix="driftgate-simulate-") as name:
        folder = Path(name)
        (folder / "policy.yaml").write_text(policy(model), encoding="utf-8")
        for snapshot in ("train", "held"):
            pq.write_table(pa.table(model.rows(rng, SNAPSHOT)), folder / f"{snapshot}.parquet")
        alone = judged(binary, folder, [model.rows(rng, ROWS) for _ in range(DAYS)])
        dependent = [model.rows(rng, ROWS, UNIT) for _ in range(DAYS)]
        units = judged(binary, folder, dependent)
        shifts = {n: shifts_found(binary, folder, model, rng, n) for n in SIZES}
        (folder / "policy.yaml").write_text(policy(model, "unit: /u\n"), encoding="utf-8")
        pq.write_table(pa.table(model.rows(rng, SNAPSHOT, UNIT)), folder / "train.parquet")
        told = judged(binary, folder, dependent)
    lines = [
        f"| `{rule.text}` | {alone[rule.id].count('block')} | {units[rule.id].count('block')} | {told[rule.id].count('block')} | "
        + " | ".join(shifts[n][rule.id] for n in SIZES)
        + f" | {UNITS[rule.shifted]} |"
        for rule in twice(model.rules)
    ]
    heads = " | ".join(f"found at {n:,}" for n in SIZES)
    head = [f"| rule | false blocks | dependent | with unit | {heads} | shift |", "|---|---|---|---|---|---|---|---|"]
    return [f"## {model.name}", "", *head, *lines, ""]


def main() -> None:
    binary, out = sys.argv[1:]
    parts = [line for model in MODELS for line in table(binary, model)]
    tried = ", ".join(f"{shift:g}" for shift in SHIFTS)
    text = TEXT.format(
        snapshot=SNAPSHOT,
        days=DAYS,
        rows=ROWS,
        unit=UNIT,
        common=COMMON,
        windows=WINDOWS,
        tried=tried,
        budget=DAYS // 30,
    )
    Path(out).write_text(text + "\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
