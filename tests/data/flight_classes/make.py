#!/usr/bin/env python3
"""How late flights out of New York in 2013 land, as one of three classes, and the quality of the predicted class.

By scikit-learn and scipy, of the rows of ../flight_delays: the class of the minutes that the model there predicts, and of those that the
flight was late.

    pip install pandas pyarrow scikit-learn scipy
    python make.py

writes beside this file:

    train_v1.parquet      every second row of the training snapshot, with `prediction` and `label` as classes
    predictions.parquet   the flights, by `ts`, with the class that is predicted
    labels.parquet        the class of each as it lands, by `ts`
    golden.json           of each week of labels (of the epoch, UTC) and of the snapshot: the confusion matrix and metrics by
                          sklearn.metrics, and Wilson's interval of the accuracy by scipy; of each week of predictions the Jensen-Shannon
                          distance of predicted classes to the snapshot's, by scipy
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial.distance import jensenshannon
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, precision_recall_fscore_support

OUT = Path(__file__).parent
SOURCE = OUT.parent / "flight_delays"
CLASSES = ["on_time", "late", "very_late"]
WEEK = 7 * 86_400_000


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
    joined = labels.merge(predictions[["prediction_id", "prediction"]], on="prediction_id")
    for name, frame, columns in [
        ("train_v1", snapshot, ["carrier", "origin", "prediction", "label"]),
        ("predictions", predictions, ["prediction_id", "version", "ts", "carrier", "origin", "prediction"]),
        ("labels", labels, ["prediction_id", "ts", "label"]),
    ]:
        frame[columns].to_parquet(OUT / f"{name}.parquet", index=False, compression="zstd")
    trained = shares(snapshot.prediction)
    distance = lambda rows: {"n": len(rows), "js": float(jensenshannon(trained, shares(rows.prediction), base=2))}
    golden = {
        "snapshot": metrics(snapshot.prediction, snapshot.label),
        "weeks": weeks(joined, lambda rows: metrics(rows.prediction, rows.label)),
        "predictions": weeks(predictions, distance),
    }
    (OUT / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
