"""Benchmark data, the same every time: python make_data.py OUT_DIR [ROWS]

train_v1.parquet     100,000 reference rows: 20 numeric columns (normal, lognormal, uniform, counts, heavy ties),
                     4 categorical ones (5, 20, 200 and 2 values), score, label, segments seg0 (2) and seg1 (4)
predictions.parquet  ROWS (1,000,000) events, three features drifted (n01 mean, n07 scale, n13 rate), one event a ms
predictions.jsonl    the same as JSON events of about 600 bytes
labels.parquet       a label for every tenth event, one minute later
policy.yaml          PSI and KS on everything, TPR gap on both segments, windows of 1 h sliding by 5 min
"""

import sys

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

out = sys.argv[1]
rows = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
NUM = [f"n{i:02d}" for i in range(20)]
CAT = ["c0", "c1", "c2", "c3"]
T0 = 1767225600000  # 2026-01-01T00:00:00Z


def make(n, seed, drift):
    """n rows in columns; the order of the draws is part of the data."""
    r = np.random.default_rng(seed)
    c = {}
    for i in range(6):
        c[f"n{i:02d}"] = r.normal(i, 1.0 + i * 0.2, n)
    for i in range(6, 10):
        c[f"n{i:02d}"] = r.lognormal(i * 0.3, 0.6 + 0.1 * (i - 6), n)
    for i in range(10, 13):
        c[f"n{i:02d}"] = r.uniform(0, i, n)
    c["n13"] = r.poisson(3, n).astype(float)
    c["n14"] = r.poisson(40, n).astype(float)
    c["n15"] = r.geometric(0.05, n).astype(float)
    c["n16"] = np.where(r.random(n) < 0.7, 0.0, r.exponential(2.0, n))
    c["n17"] = np.round(r.normal(10, 2, n) * 2) / 2
    c["n18"] = r.choice([0.0, 1.0, 2.0, 5.0, 10.0], n, p=[0.5, 0.2, 0.15, 0.1, 0.05])
    c["n19"] = np.where(r.random(n) < 0.3, 100.0, np.round(r.lognormal(3, 1, n), 1))
    if drift:
        c["n01"] = c["n01"] + 0.30
        c["n07"] = c["n07"] * 1.25
        c["n13"] = r.poisson(3.4, n).astype(float)
    for name, k in (("c0", 5), ("c1", 20), ("c2", 200), ("c3", 2)):
        p = 1.0 / np.arange(1, k + 1)
        p /= p.sum()
        c[name] = np.array([f"{name}_{j:03d}" for j in range(k)], dtype=object)[r.choice(k, n, p=p)]
    s0 = r.choice(["A", "B"], n, p=[0.7, 0.3])
    s1 = r.choice(["x", "y", "z", "w"], n, p=[0.4, 0.3, 0.2, 0.1])
    unfair = -1 if drift else 1
    z = 0.8 * c["n00"] + 0.5 * (c["n02"] - 2) + 0.2 * (s0 == "B") * unfair + r.normal(0, 1, n)
    c["score"] = 1 / (1 + np.exp(-z))
    c["label"] = (z + r.normal(0, 1, n) > 0).astype(np.int8)
    c["seg0"] = s0.astype(object)
    c["seg1"] = s1.astype(object)
    return c


pq.write_table(pa.table(make(100_000, 20260101, False)), f"{out}/train_v1.parquet")

cur = make(rows, 20260102, True)
ids = np.array([f"e{i:09d}" for i in range(rows)], dtype=object)
ts = T0 + np.arange(rows, dtype=np.int64)
label = cur.pop("label")
predictions = pa.table({"prediction_id": ids, "version": np.full(rows, "1", object), "ts": ts, **cur})
pq.write_table(predictions, f"{out}/predictions.parquet", compression="zstd")
k = np.arange(0, rows, 10)
labels = pa.table({"prediction_id": ids[k], "ts": ts[k] + 60_000, "label": label[k]})
pq.write_table(labels, f"{out}/labels.parquet", compression="zstd")

with open(f"{out}/predictions.jsonl", "wb") as f:
    cols = {n: v.tolist() for n, v in cur.items()}
    for i in range(rows):
        event = {
            "prediction_id": ids[i],
            "model": "credit",
            "version": "1",
            "ts": int(ts[i]),
            "score": cols["score"][i],
            "features": {n: cols[n][i] for n in NUM + CAT},
            "segments": {"seg0": cols["seg0"][i], "seg1": cols["seg1"][i]},
        }
        f.write(orjson.dumps(event) + b"\n")

with open(f"{out}/policy.yaml", "w") as f:
    f.write(f"""apiVersion: driftgate/v1
model: credit
baseline:
  snapshot: "train_v{{version}}.parquet"
  columns: {{score: score, label: label}}
features:
  numeric: [{', '.join(NUM)}]
  categorical: [{', '.join(CAT)}]
score: {{threshold: 0.5}}
segments: [seg0, seg1]
labels: {{horizon: 1h, attribute: label_time, lateness: 1m}}
lateness: 1m
min_samples: 200
checks:
  drift:
    window: {{size: 1h, slide: 5m}}
    rules:
    - psi: {{of: features, lt: 0.2, bins: 10, zero: half}}
    - psi: {{id: psi_score, of: score, lt: 0.2}}
    - ks_p: {{of: features, gte: 0.01}}
  fairness:
    window: {{size: 1h, slide: 5m}}
    rules:
    - tpr_gap: {{by: seg0, lt: 0.03}}
    - tpr_gap: {{id: tpr_gap_seg1, by: seg1, lt: 0.03}}
""")
