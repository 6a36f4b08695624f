"""Reference values of distances by segment by scipy: python make_by_segment.py > by_segment.json

Needs numpy and scipy; the versions that wrote the file stand in it. Raw rows of a numeric column, a column of categories and a column of
segments, of a reference and of a window, and what scipy says of each segment's rows alone: `ks` is ks_2samp's D, `wasserstein` is
wasserstein_distance of the segment's rows in the reference and of those in the window clipped to their range, over their standard deviation
(numpy's std, ddof 0). `psi`, `js`, `hellinger` and `l_inf` are of the shares of the segment's rows in the ten quantile bins of the whole
reference (PSI with half an event more in every bin that is not empty in both); `chi2` is the p-value of chi2_contingency of the segment's categories.
"""
import json

import numpy as np
import scipy
from scipy.spatial.distance import chebyshev, euclidean, jensenshannon
from scipy.stats import chi2_contingency, ks_2samp, wasserstein_distance

BINS = 10
SEGMENTS = ["east", "north", "west"]


def counts(values, edges):
    """Counts in right-closed bins; no two edges are equal here."""
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=BINS)


def psi(reference, window):
    kept = (reference > 0) | (window > 0)
    p, q = ((c[kept] + 0.5) / (c.sum() + kept.sum() / 2) for c in (reference, window))
    return float(np.sum((p - q) * np.log(p / q)))


def main():
    rng = np.random.default_rng(20261129)
    rows = {}
    for name, n, shift in (("reference", 600, 0.0), ("window", 450, 0.8)):
        segment = rng.choice(SEGMENTS, n, p=[0.5, 0.3, 0.2])
        # Segments differ in level; one of them alone moves, against the others' sum.
        x = rng.normal(0, 1, n) + np.where(segment == "west", 2.0, 0.0) + np.where(segment == "north", shift, 0.0)
        odds = np.where(segment == "east", 0.3 + shift / 4, 0.6)
        kind = np.where(rng.uniform(size=n) < odds, "a", np.where(rng.uniform(size=n) < 0.5, "b", "c"))
        rows[name] = {"segment": segment, "x": np.round(x, 6), "kind": kind}
    ordered = np.sort(rows["reference"]["x"])
    edges = [ordered[int(np.ceil(j * len(ordered) / BINS)) - 1] for j in range(1, BINS)]
    expect = {}
    for segment in SEGMENTS:
        of = [rows[name]["x"][rows[name]["segment"] == segment] for name in ("reference", "window")]
        kinds = [rows[name]["kind"][rows[name]["segment"] == segment] for name in ("reference", "window")]
        binned = [counts(values, edges) for values in of]
        p, q = (c / c.sum() for c in binned)
        table = [[int(np.sum(kind == k)) for k in "abc"] for kind in kinds]
        clipped = np.clip(of[1], of[0].min(), of[0].max())
        expect[segment] = {
            "n": len(of[1]),
            "reference_n": len(of[0]),
            "ks": float(ks_2samp(*of).statistic),
            "wasserstein": float(wasserstein_distance(of[0], clipped) / np.std(of[0])),
            "psi": psi(*binned),
            "js": float(jensenshannon(p, q, 2)),
            "hellinger": float(euclidean(np.sqrt(p), np.sqrt(q)) / np.sqrt(2)),
            "l_inf": float(chebyshev(p, q)),
            "chi2": float(chi2_contingency(table, correction=False).pvalue),
        }
    listed = {name: [list(row) for row in zip(v["segment"].tolist(), v["x"].tolist(), v["kind"].tolist())] for name, v in rows.items()}
    print(json.dumps({"made_by": {"numpy": np.__version__, "scipy": scipy.__version__}, **listed, "expect": expect}))


main()
