"""Asks a model of KServe's Python server, some rows a request, and posts both bodies as KServe's logger does: a CloudEvent each, in binary mode.
Writes what it asked and what was said as predictions in JSON.

usage: ask.py v1|v2 SERVER LOGGER HOW_MANY FIRST FILE
"""

import json
import random
import sys
from datetime import datetime, timezone
from typing import Any

import requests
from cloudevents.conversion import to_binary
from cloudevents.http import CloudEvent

ROWS = 2
LATENCY_MS = 12


def body(protocol: str, number: int) -> tuple[dict, list[dict]]:
    """A request, and the features of its rows."""
    rng = random.Random(number)
    features = [{name: rng.gauss(0, 1) for name in ("x", "z")} for _ in range(ROWS)]
    if protocol == "v1":
        return {"instances": [list(row.values()) for row in features]}, features
    tensor = {"datatype": "FP64", "shape": [ROWS, 1]}
    inputs = [{"name": name, **tensor, "data": [row[name] for row in features]} for name in ("x", "z")]
    return {"id": f"body-{number}", "inputs": inputs}, features


def log(url: str, kind: str, identifier: str, ts: int, data: bytes) -> None:
    """What the logger's worker sends."""
    time = datetime.fromtimestamp(ts / 1000, timezone.utc).isoformat(timespec="milliseconds")
    attributes = {
        "id": identifier,
        "type": f"org.kubeflow.serving.inference.{kind}",
        "source": "http://localhost:9081/",
        "time": time,
        "inferenceservicename": "shop",
        "namespace": "default",
        "component": "predictor",
        "endpoint": "default",
        "annotations": json.dumps({"model-version": "7"}),
        "datacontenttype": "application/json",
    }
    headers, value = to_binary(CloudEvent(attributes, data))
    answer = requests.post(url, headers=headers, data=value, timeout=10)
    assert answer.status_code == 202, answer.text


def main(protocol: str, server: str, logger: str, how_many: int, first: int, path: str) -> None:
    url = f"{server}/v1/models/shop:predict" if protocol == "v1" else f"{server}/v2/models/shop/infer"
    lines = []
    for number in range(first, first + how_many):
        asked, features = body(protocol, number)
        ts = round(datetime.now(timezone.utc).timestamp() * 1000)
        answer = requests.post(url, json=asked, timeout=10)
        answer.raise_for_status()
        said: Any = answer.json()
        identifier = f"{protocol}-{number}"
        halves = [("request", ts, json.dumps(asked).encode()), ("response", ts + LATENCY_MS, answer.content)]
        # They come in either order.
        for kind, at, data in halves if number % 2 else reversed(halves):
            log(logger, kind, identifier, at, data)
        scores = [row[1] for row in said["predictions"]] if protocol == "v1" else said["outputs"][0]["data"][1::2]
        for row in range(ROWS):
            event = {"prediction_id": f"{identifier}/{row}", "ts": ts, "version": "7", "latency_ms": LATENCY_MS}
            lines.append(json.dumps({**event, "score": scores[row], "features": features[row]}) + "\n")
    with open(path, "a", encoding="utf-8") as file:
        file.writelines(lines)


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5]), sys.argv[6])
