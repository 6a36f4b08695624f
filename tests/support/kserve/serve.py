"""A model that KServe's Python server serves: the logistic of x − z, of both of its protocols.

usage: serve.py --http_port PORT --enable_grpc false
"""

import argparse
import math
from typing import Any, Union

import kserve
import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer, model_server


def probabilities(rows: list[tuple[float, float]]) -> list[list[float]]:
    positive = [1 / (1 + math.exp(z - x)) for x, z in rows]
    return [[1 - p, p] for p in positive]


class Shop(Model):
    def __init__(self) -> None:
        super().__init__("shop")
        self.ready = True

    def predict(self, payload: Union[dict, InferRequest], *_: Any, **__: Any) -> Union[dict, InferResponse]:
        if isinstance(payload, dict):
            return {"predictions": probabilities([(x, z) for x, z in payload["instances"]])}
        columns = {tensor.name: tensor.as_numpy().reshape(-1).tolist() for tensor in payload.inputs}
        found = np.array(probabilities(list(zip(columns["x"], columns["z"]))))
        output = InferOutput(name="probability", shape=list(found.shape), datatype="FP64")
        output.set_data_from_numpy(found, binary_data=False)
        return InferResponse(response_id=payload.id, model_name=self.name, infer_outputs=[output])


if __name__ == "__main__":
    args, _ = argparse.ArgumentParser(parents=[model_server.parser]).parse_known_args()
    ModelServer().start([Shop()])
