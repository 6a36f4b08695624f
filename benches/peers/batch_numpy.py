"""What a data scientist writes by hand, at its best: read both Parquet files, PSI by np.histogram on reference deciles for
20 numeric columns and value counts for 4 categorical ones; with `all` also scipy's KS test for the 20.

python batch_numpy.py DATA_DIR psi|all
"""

import json
import sys

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

d, mode = sys.argv[1:3]
NUM = [f"n{i:02d}" for i in range(20)]
CAT = ["c0", "c1", "c2", "c3"]
ref = pq.read_table(f"{d}/train_v1.parquet")
cur = pq.read_table(f"{d}/predictions.parquet")
o = {}


def psi(e, c):
    e, c = np.where(e == 0, 1e-4, e), np.where(c == 0, 1e-4, c)
    return float(((c - e) * np.log(c / e)).sum())


for c in NUM:
    r, x = ref[c].to_numpy(), cur[c].to_numpy()
    e = np.concatenate([[-np.inf], np.unique(np.quantile(r, np.linspace(0, 1, 11)))[1:-1], [np.inf]])
    o[c] = psi(np.histogram(r, e)[0] / len(r), np.histogram(x, e)[0] / len(x))

for c in CAT:
    r, x = ({v["values"]: v["counts"] / len(t) for v in pc.value_counts(t[c]).to_pylist()} for t in (ref, cur))
    k = sorted(set(r) | set(x))
    o[c] = psi(np.array([r.get(i, 0) for i in k]), np.array([x.get(i, 0) for i in k]))

if mode == "all":
    from scipy.stats import ks_2samp

    for c in NUM:
        o[c + ".p"] = float(ks_2samp(ref[c].to_numpy(), cur[c].to_numpy(), method="asymp").pvalue)

print(json.dumps(o))
