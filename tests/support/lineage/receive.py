"""Receives OpenLineage events by HTTP as Marquez does, and rebuilds each by the classes of OpenLineage's own client, which are made from its JSON schemas.

usage: receive.py OUT.jsonl

The address is printed. Each event is a line of OUT.jsonl: {"valid": true, "event": …}, or {"valid": false, "why": …, "event": …}, and is answered with 201 or 422.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from openlineage.client.generated import base
from openlineage.client.generated.data_quality_assertions_dataset import Assertion, DataQualityAssertionsDatasetFacet
from openlineage.client.generated.dataset_type_dataset import DatasetTypeDatasetFacet
from openlineage.client.generated.dataset_version_dataset import DatasetVersionDatasetFacet
from openlineage.client.generated.job_type_job import JobTypeJobFacet
from openlineage.client.serde import Serde

FACETS = {
    "version": DatasetVersionDatasetFacet,
    "datasetType": DatasetTypeDatasetFacet,
    "jobType": JobTypeJobFacet,
    "dataQualityAssertions": lambda assertions, **more: DataQualityAssertionsDatasetFacet(
        assertions=[Assertion(**one) for one in assertions], **more
    ),
}


def facets(found):
    rebuilt = {}
    for name, facet in found.items():
        fields = {key: value for key, value in facet.items() if key not in ("_producer", "_schemaURL")}
        if name in FACETS:
            rebuilt[name] = FACETS[name](producer=facet["_producer"], **fields)
        else:
            # A facet of its own has a prefix, and the schema of its kind.
            assert "_" in name, name
            rebuilt[name] = base.RunFacet(producer=facet["_producer"]).with_additional_properties(**fields)
    return rebuilt


def dataset(kind, extra, found):
    return kind(
        namespace=found["namespace"],
        name=found["name"],
        facets=facets(found.get("facets", {})),
        **{extra: facets(found.get(extra, {}))},
    )


def rebuilt(event):
    return base.RunEvent(
        eventTime=event["eventTime"],
        eventType=base.EventType(event["eventType"]),
        producer=event["producer"],
        run=base.Run(runId=event["run"]["runId"], facets=facets(event["run"]["facets"])),
        job=base.Job(**{**event["job"], "facets": facets(event["job"]["facets"])}),
        inputs=[dataset(base.InputDataset, "inputFacets", one) for one in event["inputs"]],
        outputs=[dataset(base.OutputDataset, "outputFacets", one) for one in event["outputs"]],
    )


def within(sent, known, path):
    """Whatever was sent is known, with the same value; the schemas' addresses too."""
    if isinstance(sent, dict):
        for key, value in sent.items():
            if value is not None:
                assert key in known, f"{path}.{key} is no field"
                within(value, known[key], f"{path}.{key}")
    elif isinstance(sent, list):
        assert len(sent) == len(known), f"{path} has {len(known)} elements, not {len(sent)}"
        for at, (one, other) in enumerate(zip(sent, known)):
            within(one, other, f"{path}[{at}]")
    else:
        assert sent == known, f"{path} is {sent!r}, not {known!r}"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["content-length"])))
        line = {"valid": True, "event": event}
        try:
            assert self.path == "/api/v1/lineage" and self.headers["content-type"].startswith("application/json"), self.path
            within(event, Serde.to_dict(rebuilt(event)), "event")
        except Exception as e:  # noqa: BLE001 - whatever is wrong with it is told
            line = {"valid": False, "why": f"{type(e).__name__}: {e}", "event": event}
        with open(sys.argv[1], "a") as out:
            out.write(json.dumps(line) + "\n")
        self.send_response(201 if line["valid"] else 422)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
print(f"http://127.0.0.1:{server.server_port}/api/v1/lineage", flush=True)
server.serve_forever()
