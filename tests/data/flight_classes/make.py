#!/usr/bin/env python3
"""How late flights out of New York in 2013 land, as one of three classes, and the quality of the predicted class.

By scikit-learn and scipy, of the rows of ../flight_delays: the class of the minutes that the model there predicts, and of those that the
flight was late.

    pip install pandas pyarrow scikit-learn scipy fairlearn
    python make.py

writes beside this file:

    train_v1.parquet      every second row of the training snapshot, with `prediction` and `label` as classes
    predictions.parquet   the flights, by `ts`, with the class that is predicted
    labels.parquet        the class of each as it lands, by `ts`
    golden.json           of each week of labels (of the epoch, UTC) and of the snapshot: the confusion matrix and metrics by
                          sklearn.metrics, and Wilson's interval of the accuracy by scipy; of each week of predictions the Jensen-Shannon
                          distance of predicted classes to the snapshot's, by scipy; the difference and ratio of metrics between
                          carriers, by fairlearn, over those with five of what the metric divides by (positives for F1)

`python make.py golden` writes the last of them anew, of the others.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame
from scipy.spatial.distance import jensenshannon
from scipy.stats import binomtest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    precision_score,
    recall_score,
)

OUT = Path(__file__).parent
SOURCE = OUT.parent / "flight_delays"
CLASSES = ["on_time", "late", "very_late"]
WEEK = 7 * 86_400_000
# Of what a metric divides by, so many in a carrier.
MIN = 5


def class_of(minutes: pd.Series) -> np.ndarray:
    """On time up to a quarter of an hour, very late beyond one hour."""
    return np.select([minutes <= 15, minutes <= 60], CLASSES[:2], CLASSES[2])


def metrics(predicted: pd.Series, labels: pd.Series) -> dict:
    right = int((predicted == labels).sum())
    interval = binomtest(right, len(labels)).proportion_ci(0.95, method="wilson")
    found = {
        "n": len(labels),
        "confusion": confusion_matrix(labels, predicted, labels=CLASSES).tolist(),
        "accuracy": accuracy_score(labels, predicted),
        "wilson": [interval.low, interval.high],
        "balanced_accuracy": balanced_accuracy_score(labels, predicted),
    }
    names = ["precision", "recall", "f1"]
    for average in ["macro", "micro", "weighted"]:
        values = precision_recall_fscore_support(labels, predicted, average=average, zero_division=0)
        found[average] = dict(zip(names, values))
    values = precision_recall_fscore_support(labels, predicted, labels=CLASSES, zero_division=0)
    found["class"] = {c: {m: values[i][at] for i, m in enumerate(names)} for at, c in enumerate(CLASSES)}
    return found


def shares(classes: pd.Series) -> np.ndarray:
    return classes.value_counts(normalize=True).reindex(CLASSES, fill_value=0).to_numpy()


def weeks(of: pd.DataFrame, value) -> dict:
    start = lambda week: pd.Timestamp(week * WEEK, unit="ms").strftime("%Y-%m-%dT%H:%M:%SZ")
    return {start(week): value(rows) for week, rows in of.groupby(of.ts // WEEK)}


def main() -> None:
    read = lambda name: pd.read_parquet(SOURCE / f"{name}.parquet")
    snapshot, predictions, labels = read("train_v1").iloc[::2], read("predictions"), read("labels")
    snapshot = snapshot.assign(prediction=class_of(snapshot.score), label=class_of(snapshot.label))
    predictions["prediction"], labels["label"] = class_of(predictions.score), class_of(labels.label)
    for name, frame, columns in [
        ("train_v1", snapshot, ["carrier", "origin", "prediction", "label"]),
        ("predictions", predictions, ["prediction_id", "version", "ts", "carrier", "origin", "prediction"]),
        ("labels", labels, ["prediction_id", "ts", "label"]),
    ]:
        frame[columns].to_parquet(OUT / f"{name}.parquet", index=False, compression="zstd")
    golden()


def between(rows: pd.DataFrame) -> dict:
    """The largest less, and the smallest over, the largest value of a metric over carriers."""

    def of(metric, label: pd.Series, predicted: pd.Series, samples: pd.Series) -> dict:
        enough = samples.groupby(rows.carrier).sum() >= MIN
        kept = rows.carrier.isin(enough[enough].index)
        if enough.sum() < 2:
            return {"gap": None, "ratio": None, "segments": int(enough.sum())}
        groups = rows.carrier[kept]
        frame = MetricFrame(metrics=metric, y_true=label[kept], y_pred=predicted[kept], sensitive_features=groups)
        return {"gap": frame.difference(), "ratio": frame.ratio(), "segments": int(enough.sum())}

    found = {"accuracy": of(accuracy_score, rows.label, rows.prediction, rows.label.notna())}
    # As large as its rarest class.
    labels = pd.get_dummies(rows.label).reindex(columns=CLASSES, fill_value=0)
    n = labels.groupby(rows.carrier).sum().min(axis=1)
    kept = rows[rows.carrier.isin(n[n >= MIN].index)]
    if kept.carrier.nunique() >= 2:
        frame = MetricFrame(
            metrics=balanced_accuracy_score, y_true=kept.label, y_pred=kept.prediction, sensitive_features=kept.carrier
        )
        values = {"gap": frame.difference(), "ratio": frame.ratio()}
    else:
        values = {"gap": None, "ratio": None}
    found["balanced_accuracy"] = {**values, "segments": kept.carrier.nunique()}
    for c in CLASSES:
        label, predicted = (rows.label == c).astype(int), (rows.prediction == c).astype(int)
        found[c] = {
            "recall": of(recall_score, label, predicted, label),
            "precision": of(precision_score, label, predicted, predicted),
            "f1": of(f1_score, label, predicted, label),
        }
    return found


def golden() -> None:
    snapshot, predictions, labels = (pd.read_parquet(OUT / f"{n}.parquet") for n in ["train_v1", "predictions", "labels"])
    joined = labels.merge(predictions[["prediction_id", "prediction", "carrier"]], on="prediction_id")
    trained = shares(snapshot.prediction)
    distance = lambda rows: {"n": len(rows), "js": float(jensenshannon(trained, shares(rows.prediction), base=2))}
    found = {
        "snapshot": metrics(snapshot.prediction, snapshot.label),
        "weeks": weeks(joined, lambda rows: metrics(rows.prediction, rows.label)),
        "predictions": weeks(predictions, distance),
        "carriers": weeks(joined, between),
        "snapshot_carriers": between(snapshot),
    }
    (OUT / "golden.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    golden() if sys.argv[1:] == ["golden"] else main()
