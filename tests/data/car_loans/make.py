#!/usr/bin/env python3
"""NannyML's car loans, and what its confidence-based performance estimation (CBPE) says of them.

    pip install nannyml==0.13.1 statsmodels
    python make.py

writes beside this file, of the data set that NannyML ships (Apache-2.0; made up by its authors):

    train_v1.parquet      every second one of the reference rows
    reference.parquet     the reference rows: `score` (two decimals), `root` (its square root, five decimals: a score that
                          is not calibrated) and `label`
    predictions.parquet   four chunks of 5,000 rows of the analysis period, each within a day of 2020: two before and two
                          after the loans change
    labels.parquet        what became of them
    golden.json           of each chunk and score: accuracy, precision, recall, F1 and the area under the ROC curve as CBPE
                          estimates them, and as they are by the labels (NannyML's PerformanceCalculator); whether
                          NannyML calibrates the score

A decision is a score of at least a half: NannyML is given that in place of the data set's own decisions, of which two in a
hundred differ.
"""

import json
import os
import warnings
from pathlib import Path

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
import nannyml as nml
import numpy as np
import pandas as pd
from nannyml.calibration import IsotonicCalibrator, needs_calibration

warnings.filterwarnings("ignore")
OUT = Path(__file__).parent
CHUNK = 5_000
CHUNKS = [0, 1, 8, 9]
METRICS = ["accuracy", "precision", "recall", "f1", "roc_auc"]
DAY = 86_400_000
START = 18_262 * DAY  # 2020-01-01


def prepared(frame: pd.DataFrame) -> pd.DataFrame:
    score = frame["y_pred_proba"].round(2)
    return pd.DataFrame({"id": frame["id"], "score": score, "root": np.sqrt(score).round(5)})


def golden(reference: pd.DataFrame, analysis: pd.DataFrame, score: str) -> dict:
    def given(frame: pd.DataFrame) -> pd.DataFrame:
        proba = frame[score].astype(float)
        return pd.DataFrame({"proba": proba, "pred": (proba >= 0.5).astype(int), "label": frame["label"]})

    names = {"y_pred_proba": "proba", "y_pred": "pred", "y_true": "label", "problem_type": "classification_binary"}
    known, rows = given(reference), given(analysis)
    estimator = nml.CBPE(metrics=METRICS, chunk_size=CHUNK, **names).fit(known)
    estimated = estimator.estimate(rows.drop(columns="label")).filter(period="analysis").to_df()
    calculator = nml.PerformanceCalculator(metrics=METRICS, chunk_size=CHUNK, **names).fit(known)
    realised = calculator.calculate(rows).filter(period="analysis").to_df()
    needs = needs_calibration(known["label"].to_numpy(), known["proba"].to_numpy(), IsotonicCalibrator())
    chunks = [
        {
            "estimated": {metric: float(estimated[metric]["value"].iloc[at]) for metric in METRICS},
            "realised": {metric: float(realised[metric]["value"].iloc[at]) for metric in METRICS},
        }
        for at in range(len(CHUNKS))
    ]
    return {"needs_calibration": bool(needs), "chunks": chunks}


def main() -> None:
    reference, analysis, targets = nml.load_synthetic_car_loan_dataset()
    known = prepared(reference).assign(label=reference["repaid"].astype(int))
    known = known.drop(columns="id")
    known.iloc[::2].to_parquet(OUT / "train_v1.parquet", index=False, compression="zstd")
    known.to_parquet(OUT / "reference.parquet", index=False, compression="zstd")
    rows = prepared(analysis).merge(targets[["id", "repaid"]], on="id").rename(columns={"repaid": "label"})
    rows = pd.concat([rows.iloc[at * CHUNK : (at + 1) * CHUNK] for at in CHUNKS], ignore_index=True)
    rows["label"] = rows["label"].astype(int)
    step = DAY // CHUNK
    rows["ts"] = [START + row // CHUNK * DAY + row % CHUNK * step for row in range(len(rows))]
    rows["prediction_id"] = rows["id"].astype(str)
    rows["version"] = "1"
    columns = ["prediction_id", "version", "ts", "score", "root"]
    rows[columns].to_parquet(OUT / "predictions.parquet", index=False, compression="zstd")
    rows[["prediction_id", "ts", "label"]].to_parquet(OUT / "labels.parquet", index=False, compression="zstd")
    found = {score: golden(known, rows, score) for score in ["score", "root"]}
    (OUT / "golden.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
