"""Reference values of quality and fairness metrics by scikit-learn and fairlearn: python make.py > quality.json

Needs numpy, scikit-learn and fairlearn; the versions that wrote the file stand in it. Each row has the raw rows (score, label,
segment; decisions are score >= 0.5) and what the libraries say of them. ECE has no function there: numpy over the bins that ten
quantiles of the scores make.
"""
import json
import warnings

import fairlearn
import numpy as np
import sklearn
from fairlearn.metrics import (
    MetricFrame,
    equalized_odds_difference,
    false_negative_rate,
    false_positive_rate,
    selection_rate,
    true_negative_rate,
    true_positive_rate,
)
from sklearn import metrics

warnings.filterwarnings("error")
THRESHOLD = 0.5


def rates(label, decision):
    """Every metric of decisions, by the names that policies write."""
    return {
        "accuracy": metrics.accuracy_score(label, decision),
        "precision": metrics.precision_score(label, decision),
        "recall": metrics.recall_score(label, decision),
        "specificity": true_negative_rate(label, decision),
        "f1": metrics.f1_score(label, decision),
        "balanced_accuracy": metrics.balanced_accuracy_score(label, decision),
        "fpr": false_positive_rate(label, decision),
        "fnr": false_negative_rate(label, decision),
        "fdr": 1 - metrics.precision_score(label, decision),
        "for": 1 - metrics.precision_score(label, decision, pos_label=0),
        "selection_rate": selection_rate(label, decision),
    }


def ece(score, label):
    """Over bins (previous, edge] of ten quantiles; an edge that two quantiles share is a bin of its own."""
    ordered = np.sort(score)
    edges = [ordered[int(np.ceil(j * len(ordered) / 10)) - 1] for j in range(1, 10)]
    heavy = {e for e in edges if edges.count(e) > 1}
    distinct = np.unique(edges)
    place = np.searchsorted(distinct, score, side="left")
    sums = {}
    for s, y, p in zip(score, label, place):
        key = (p, bool(s in heavy))
        sums[key] = sums.get(key, 0.0) + (s - y)
    return sum(abs(x) for x in sums.values()) / len(score)


def between(name, label, decision, segment):
    """Gap and ratio of a metric between segments, by fairlearn."""
    frame = MetricFrame(
        metrics=lambda y, d: rates(y, d)[name], y_true=label, y_pred=decision, sensitive_features=segment
    )
    return {"gap": frame.difference(method="between_groups"), "ratio": frame.ratio(method="between_groups")}


def row(rng, n, decimals):
    """Scores rounded to so many decimals have ties."""
    score = np.clip(np.round(rng.beta(2, 2, n), decimals), 0.001, 0.999)
    label = (rng.random(n) < score**1.3).astype(int)
    segment = rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2])
    decision = (score >= THRESHOLD).astype(int)
    expect = rates(label, decision) | {
        "auc": metrics.roc_auc_score(label, score),
        "log_loss": metrics.log_loss(label, score),
        "brier": metrics.brier_score_loss(label, score),
        "ece": ece(score, label),
        "average_odds": equalized_odds_difference(
            label, decision, sensitive_features=segment, agg="mean"
        ),
        "tpr_of_a": true_positive_rate(label[segment == "a"], decision[segment == "a"]),
    }
    return {
        "score": score.tolist(),
        "label": label.tolist(),
        "segment": segment.tolist(),
        "expect": {name: float(value) for name, value in expect.items()},
        "between": {name: between(name, label, decision, segment) for name in rates(label, decision)},
    }


def main():
    rng = np.random.default_rng(20)
    rows = [row(rng, n, decimals) for n, decimals in [(60, 1), (150, 2), (400, 3), (400, 12)]]
    versions = {"numpy": np.__version__, "scikit-learn": sklearn.__version__, "fairlearn": fairlearn.__version__}
    print(json.dumps({"made_by": versions, "threshold": THRESHOLD, "rows": rows}, separators=(",", ":")))


main()
