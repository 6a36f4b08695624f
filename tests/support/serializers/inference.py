"""Writes JSON predictions as bodies of the Open Inference Protocol, and as records of SageMaker's data capture.

usage: inference.py EVENTS.jsonl OIP.jsonl SAGEMAKER.jsonl

Bodies: a request and a response each, with the time in `parameters`; responses come up to 5 minutes before and after their requests. Records: inputs as CSV, as a list in JSON, and as
base64 of CSV in turns, as the documentation of SageMaker Model Monitor shows them.
"""

import base64
import csv
import io
import json
import sys
from datetime import datetime, timezone

events, oip, sagemaker = sys.argv[1:]


def time(ms):
    return datetime.fromtimestamp(ms / 1000, timezone.utc).isoformat().replace("+00:00", "Z")


def tensor(name, value):
    kind = "BYTES" if isinstance(value, str) else "FP64"
    return {"name": name, "shape": [1, 1], "datatype": kind, "data": [value]}


def data(at, values):
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(["" if value is None else value for value in values])
    if at % 3 == 0:
        return {"observedContentType": "text/csv", "mode": "INPUT", "data": text.getvalue(), "encoding": "CSV"}
    if at % 3 == 1:
        return {"observedContentType": "application/json", "mode": "INPUT", "data": json.dumps([values]), "encoding": "JSON"}
    packed = base64.b64encode(text.getvalue().encode()).decode()
    return {"observedContentType": "text/csv; header=absent", "mode": "INPUT", "data": packed, "encoding": "BASE64"}


bodies = []
with open(events) as lines, open(sagemaker, "w") as records:
    for at, text in enumerate(lines):
        event = json.loads(text)
        features, score, ts, id = event["features"], event["score"], event["ts"], event["prediction_id"]
        request = {
            "id": id,
            "parameters": {"time": time(ts)},
            "inputs": [tensor(name, value) for name, value in features.items()],
        }
        response = {
            "model_name": "flight_delay",
            "model_version": event["version"],
            "id": id,
            "parameters": {"time": ts + at % 50},
            "outputs": [tensor("probability", score), tensor("late", int(score > 0.5))],
        }
        bodies.append((ts, json.dumps(request)))
        bodies.append((ts + ((at * 7919) % 11 - 5) * 60_000, json.dumps(response)))
        record = {
            "captureData": {
                "endpointInput": data(at, list(features.values())),
                "endpointOutput": {
                    "observedContentType": "text/csv; charset=utf-8",
                    "mode": "OUTPUT",
                    "data": f"{score!r},{int(score > 0.5)}" if score is not None else ",0",
                    "encoding": "CSV",
                },
            },
            "eventMetadata": {"eventId": f"event-{at}", "inferenceId": id, "inferenceTime": time(ts)},
            "eventVersion": "0",
        }
        records.write(json.dumps(record) + "\n")
bodies.sort(key=lambda body: body[0])
with open(oip, "w") as lines:
    lines.writelines(text + "\n" for _, text in bodies)
