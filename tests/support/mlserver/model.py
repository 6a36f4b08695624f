"""A logistic regression of scikit-learn, fitted when MLServer loads it."""

import numpy as np
from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput
from sklearn.linear_model import LogisticRegression

FEATURES = ["x", "z"]


class Shop(MLModel):
    async def load(self) -> bool:
        rng = np.random.default_rng(7)
        rows = rng.normal(size=(500, len(FEATURES)))
        labels = rows[:, 0] - rows[:, 1] + rng.normal(size=500) > 0
        self.fitted = LogisticRegression().fit(rows, labels)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        columns = {of.name: np.asarray(of.data, dtype=float) for of in payload.inputs}
        rows = np.column_stack([columns[name] for name in FEATURES])
        scores = self.fitted.predict_proba(rows)
        classes = self.fitted.predict(rows).astype(int)
        outputs = [
            ResponseOutput(name="probability", shape=list(scores.shape), datatype="FP64", data=scores.ravel().tolist()),
            ResponseOutput(name="class", shape=[len(rows), 1], datatype="INT64", data=classes.tolist()),
        ]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)
