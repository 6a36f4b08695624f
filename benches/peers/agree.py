"""Whether all contenders computed the same: python agree.py DATA_DIR VERDICTS.jsonl NUMPY.json EVIDENTLY.json

VERDICTS.jsonl   driftgate's verdicts with one window that holds the whole file and `zero: "floor:1e-4"`
NUMPY.json       what `batch_numpy.py all` printed
EVIDENTLY.json   what `batch_evidently.py psi` printed

Each method's definition is computed here again from the raw rows, by numpy and scipy alone. Exit code 1 and a line a
disagreement when there is one.

- driftgate's PSI: to a relative 1e-9, with bins cut at order statistics of the reference, closed to the right, a value
  that is an edge twice in a bin of its own, empty bins as 1e-4.
- numpy's PSI has edges by interpolation and bins closed to the left. Where a value hardly ever repeats that moves next to
  nothing: within 2% (or 2e-5, which is noise). On columns of few values the bins are others: the same side of 0.2.
- D: scipy's statistic lies in driftgate's [d, d_hi]. p: driftgate's is that of d, so never below scipy's, and within 4% of
  the limit law at d. Columns of few values are tested by chi-square: p to a relative 1e-7.
- Evidently takes bins of numeric columns from both samples together: the same side of 0.2, and the same three columns drift
  the most. Categories have no bins: numpy's and Evidently's PSI of them to a relative 1e-9.
"""

import collections
import json
import math
import sys

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy.stats import chi2, ks_2samp, kstwo

d, verdicts, numpy_json, evidently_json = sys.argv[1:5]
NUM = [f"n{i:02d}" for i in range(20)]
CAT = ["c0", "c1", "c2", "c3"]
FLOOR, LIMIT = 1e-4, 0.2
ref = pq.read_table(f"{d}/train_v1.parquet")
cur = pq.read_table(f"{d}/predictions.parquet")
numpy_says, evidently_says = (json.load(open(f)) for f in (numpy_json, evidently_json))
wrong = []


def check(holds, what, *values):
    if not holds:
        wrong.append(f"{what}: {', '.join(map(str, values))}")


def near(a, b, relative, absolute=0.0):
    return abs(a - b) <= max(absolute, relative * max(abs(a), abs(b)))


def psi(r, x):
    """PSI of counts, with a floor under the shares."""
    q, p = np.maximum(r / r.sum(), FLOOR), np.maximum(x / x.sum(), FLOOR)
    return float(((p - q) * np.log(p / q)).sum())


def bins(reference, x):
    """Counts of sorted x in ten quantile bins of the sorted reference."""
    m = len(reference)
    edges = collections.Counter(reference[math.ceil(j * m / 10) - 1] for j in range(1, 10))
    counts, left = [], 0
    for edge in sorted(edges):
        low, high = np.searchsorted(x, edge, "left"), np.searchsorted(x, edge, "right")
        counts += [low - left, high - low] if edges[edge] > 1 else [high - left]
        left = high
    return np.array([*counts, len(x) - left], float)


def by_category(column):
    """Counts of the reference's categories in both files, and one count of all others."""
    r, x = ({v["values"]: v["counts"] for v in pc.value_counts(t[column]).to_pylist()} for t in (ref, cur))
    names = sorted(r)
    known = [x.get(k, 0) for k in names]
    return np.array([*r.values(), 0], float)[np.argsort([*r, "\uffff"])], np.array([*known, cur.num_rows - sum(known)], float)


def chi_square(r, x):
    there = r + x > 0
    r, x = r[there], x[there]
    both = r + x
    a, b = both * r.sum() / both.sum(), both * x.sum() / both.sum()
    return float(chi2.sf(((r - a) ** 2 / a).sum() + ((x - b) ** 2 / b).sum(), len(r) - 1))


lines = [json.loads(line) for line in open(verdicts)]
drift = [v for v in lines if v["group"] == "drift"]
check(len(drift) == 1, "one window holds the whole file", f"{len(drift)} windows")
results = {(r["metric"], r["subject"]): r for v in drift for r in v["results"]}

compared = 0
for c in NUM + CAT:
    ours, test = results[("psi", c)], results[("ks_p", c)]
    check(ours["n"] == cur.num_rows and ours["reference_n"] == ref.num_rows, f"{c} rows", ours["n"], ours["reference_n"])
    if c in NUM:
        r, x = (np.sort(t[c].to_numpy()) for t in (ref, cur))
        in_reference, in_window = bins(r, r), bins(r, x)
        values, counts = np.unique(r, return_counts=True)
        few = len(values) <= 50 or counts.max() > len(r) / 5
        repeats = len(values) < len(r) / 2
    else:
        in_reference, in_window = by_category(c)
        few, repeats = True, False
    mine = psi(in_reference, in_window)
    check(near(ours["value"], mine, 1e-9), f"{c} PSI", ours["value"], f"recomputed {mine}")
    theirs, evidently = numpy_says[c], evidently_says[c]
    if c in CAT:
        check(near(ours["value"], theirs, 1e-9), f"{c} PSI", ours["value"], f"numpy {theirs}")
        check(near(ours["value"], evidently, 1e-9), f"{c} PSI", ours["value"], f"Evidently {evidently}")
    elif repeats:
        check((ours["value"] >= LIMIT) == (theirs >= LIMIT), f"{c} PSI and the limit", ours["value"], f"numpy {theirs}")
    else:
        check(near(ours["value"], theirs, 0.02, 2e-5), f"{c} PSI", ours["value"], f"numpy {theirs}")
    check((ours["value"] >= LIMIT) == (evidently >= LIMIT), f"{c} PSI and the limit", ours["value"], f"Evidently {evidently}")
    said = f"{c}  PSI {ours['value']:.6f}  numpy {theirs:.6f}  Evidently {evidently:.6f}"
    if few:
        check(test["test"] == "chi2", f"{c} is tested by chi-square", test["test"])
        p = chi_square(in_reference, in_window)
        check(near(test["value"], p, 1e-7, 1e-300), f"{c} p of chi-square", test["value"], p)
    else:
        check(test["test"] == "ks", f"{c} is tested by KS", test["test"])
        full = ks_2samp(r, x, method="asymp")
        low, high = test["d"], test["d_hi"]
        check(low - 1e-12 <= full.statistic <= high + 1e-12, f"{c} D", full.statistic, f"in [{low}, {high}]")
        limit = float(kstwo.sf(low, round(len(r) * len(x) / (len(r) + len(x)))))
        if limit > 1e-6:
            check(near(test["value"], limit, 0.04), f"{c} p", test["value"], f"the limit law {limit}")
            check(test["value"] >= full.pvalue * 0.96, f"{c} p", test["value"], f"scipy {full.pvalue}")
        else:
            ln_p = math.log(limit) if limit > 0 else test["ln_p"]
            check(near(test["ln_p"], ln_p, 0.03), f"{c} ln p", test["ln_p"], f"the limit law {ln_p}")
        check(numpy_says[f"{c}.p"] == full.pvalue, f"{c} p of batch_numpy.py", numpy_says[f"{c}.p"], full.pvalue)
        said += f"  D {full.statistic:.6f} in [{low:.6f}, {high:.6f}]  p {test['value']:.3g}  scipy {full.pvalue:.3g}"
    print(said)
    compared += 1

most = [sorted(sorted(NUM, key=of)[-3:]) for of in (lambda c: results[("psi", c)]["value"], numpy_says.get, evidently_says.get)]
check(most[0] == most[1] == most[2], "the columns that drift the most", *most)
for line in wrong:
    print(f"disagreement: {line}", file=sys.stderr)
print(f"{compared} features compared over {cur.num_rows:,} rows, {len(wrong)} disagreements")
sys.exit(bool(wrong))
