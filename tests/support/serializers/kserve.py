"""Writes JSON predictions as the requests and responses that KServe's logger sends, as CloudEvents in structured mode, by the SDK for Python.

usage: kserve.py EVENTS.jsonl PLAIN.jsonl OUT.jsonl

Bodies are of V1 and of V2 in turns. Responses come up to 15 minutes before and after their requests, and 7 of them never. What of the events the bodies have, without
those 7, goes to PLAIN.jsonl.
"""

import json
import sys
from datetime import datetime, timezone

from cloudevents.http import CloudEvent
from cloudevents.kafka import to_structured

events, plain, out = sys.argv[1:]


def line(kind, event, ts, body):
    attributes = {
        "type": f"org.kubeflow.serving.inference.{kind}",
        "source": "http://localhost:9081/",
        "id": event["prediction_id"],
        "time": datetime.fromtimestamp(ts / 1000, timezone.utc).isoformat(),
        "inferenceservicename": "flight-delay",
        "namespace": "default",
        "component": "predictor",
        "endpoint": "default",
        "annotations": json.dumps({"model-version": event["version"]}),
        "datacontenttype": "application/json",
    }
    return to_structured(CloudEvent(attributes, body), key_mapper=lambda event: None).value.decode()


def tensor(name, value):
    if isinstance(value, str):
        return {"name": name, "shape": [1], "datatype": "BYTES", "data": [value]}
    return {"name": name, "shape": [1, 1], "datatype": "FP64", "data": [value]}


halves = []
with open(events) as lines, open(plain, "w") as kept:
    for at, text in enumerate(lines):
        event = json.loads(text)
        features, score, ts = event["features"], event["score"], event["ts"]
        if at % 2:
            request, response = {"instances": [features]}, {"predictions": [{"probability": score}]}
        else:
            request = {"inputs": [tensor(name, value) for name, value in features.items()]}
            response = {"model_name": "flight-delay", "outputs": [tensor("probability", score)]}
        halves.append((ts, line("request", event, ts, request)))
        if at % 3000 == 17:
            continue
        halves.append((ts + ((at * 7919) % 31 - 15) * 60_000, line("response", event, ts + at % 50, response)))
        names = ["prediction_id", "ts", "version", "score", "features"]
        kept.write(json.dumps({"model": "flight_delay", **{name: event[name] for name in names}}) + "\n")
halves.sort(key=lambda half: half[0])
with open(out, "w") as lines:
    lines.writelines(text + "\n" for _, text in halves)
