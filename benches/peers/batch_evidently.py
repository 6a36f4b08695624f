"""Evidently's drift preset: PSI of 20 numeric and 4 categorical columns, or the KS test of the 20.

python batch_evidently.py DATA_DIR psi|ks
"""

import json
import sys
import warnings

warnings.filterwarnings("ignore")

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

d, mode = sys.argv[1:3]
NUM = [f"n{i:02d}" for i in range(20)]
CAT = ["c0", "c1", "c2", "c3"] if mode == "psi" else []
dd = DataDefinition(numerical_columns=NUM, categorical_columns=CAT)
ref, cur = (
    Dataset.from_pandas(pd.read_parquet(f"{d}/{f}.parquet", columns=NUM + CAT), data_definition=dd)
    for f in ("train_v1", "predictions")
)
rep = Report([DataDriftPreset(num_method=mode, cat_method="psi")]).run(cur, ref)
values = {
    m["config"]["column"]: m["value"] for m in rep.dict()["metrics"] if m.get("config", {}).get("column")
}
print(json.dumps(values, default=float))
