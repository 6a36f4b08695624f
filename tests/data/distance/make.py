"""Reference values of distances between two samples by scipy: python make.py > distance.json

Needs numpy and scipy; the versions that wrote the file stand in it. Rows of `numeric` have raw samples and what scipy says of them:
`ks` is ks_2samp's D, `wasserstein` is wasserstein_distance of the reference and of the window clipped to its range, over the reference's
standard deviation (numpy's std, ddof 0), `js` and `hellinger` are of the shares of ten quantile bins of the reference (right-closed, an
edge that two quantiles share is a bin of its own), as is `l_inf`, the largest difference of the shares. Rows of `categorical` have counts
by category. Jensen-Shannon is scipy.spatial.distance.jensenshannon with base 2; Hellinger has no function there: the Euclidean distance
(scipy.spatial.distance.euclidean) of the square roots, over the square root of 2.
"""
import json

import numpy as np
import scipy
from scipy.spatial.distance import chebyshev, euclidean, jensenshannon
from scipy.stats import ks_2samp, wasserstein_distance

BINS = 10


def binned(reference, window):
    """Counts of both in the reference's quantile bins."""
    ordered = np.sort(reference)
    edges = [ordered[int(np.ceil(j * len(ordered) / BINS)) - 1] for j in range(1, BINS)]
    heavy = {e for e in edges if edges.count(e) > 1}
    distinct = np.unique(edges)
    keys = sorted({(p, h) for p in range(len(distinct) + 1) for h in (False, True)})

    def counts(values):
        place = np.searchsorted(distinct, values, side="left")
        found = [(int(p), v in heavy) for p, v in zip(place, values)]
        return np.array([found.count(key) for key in keys])

    return counts(reference), counts(window)


def of_counts(reference, window):
    """Distances of two vectors of counts."""
    p, q = reference / reference.sum(), window / window.sum()
    return {
        "js": float(jensenshannon(p, q, 2)),
        "hellinger": float(euclidean(np.sqrt(p), np.sqrt(q)) / np.sqrt(2)),
        "l_inf": float(chebyshev(p, q)),
    }


def numeric(reference, window):
    clipped = np.clip(window, reference.min(), reference.max())
    return {
        "reference": reference.tolist(),
        "window": window.tolist(),
        "expect": {
            "ks": float(ks_2samp(reference, window).statistic),
            "wasserstein": float(wasserstein_distance(reference, clipped) / np.std(reference)),
            **of_counts(*binned(reference, window)),
        },
    }


def main():
    rng = np.random.default_rng(20261128)
    samples = [
        (rng.normal(0, 1, 300), rng.normal(0.3, 1.2, 200)),
        (rng.normal(50, 10, 120), rng.normal(50, 10, 500)),
        (np.round(rng.exponential(30, 400), 1), np.round(rng.exponential(40, 150), 1)),
        (rng.poisson(2, 250).astype(float), rng.poisson(3, 250).astype(float)),
        (rng.uniform(0, 1, 80), rng.uniform(2, 3, 40)),
        (np.concatenate([np.zeros(60), rng.normal(5, 1, 90)]), np.concatenate([np.zeros(20), rng.normal(5, 1, 90)])),
    ]
    counts = [([100, 200, 300, 400, 0], [150, 150, 300, 350, 50]), ([5, 1], [1, 5]), ([7, 3, 0], [0, 0, 9])]
    rows = [
        {"reference": r, "window": w, "expect": of_counts(np.array(r), np.array(w))} for r, w in counts
    ]
    print(
        json.dumps(
            {
                "made_by": {"numpy": np.__version__, "scipy": scipy.__version__},
                "numeric": [numeric(np.round(r, 6), np.round(w, 6)) for r, w in samples],
                "categorical": rows,
            }
        )
    )


main()
