"""A schema registry for the tests: the calls that serializers make and that readers need, as Confluent's API answers them.

usage: registry.py PORT FILE [USER:PASSWORD]

Schemas are kept in FILE, so that it can be stopped and started again. It prints "ready" once it answers. With USER:PASSWORD it answers
nobody else.
"""

import base64
import http.server
import json
import os
import sys
import uuid

port, path = int(sys.argv[1]), sys.argv[2]
secret = sys.argv[3] if len(sys.argv) > 3 else None
state = json.load(open(path)) if os.path.exists(path) else {"schemas": [], "subjects": {}}


def save():
    with open(path + ".new", "w") as file:
        json.dump(state, file)
    os.replace(path + ".new", path)


def register(subject, body):
    """The id of a schema: the same text has the same id under each subject."""
    schema = {key: body[key] for key in ("schema", "schemaType", "references") if body.get(key)}
    if schema.get("schemaType") == "AVRO":
        del schema["schemaType"]
    if schema not in state["schemas"]:
        state["schemas"].append(schema)
    number = state["schemas"].index(schema) + 1
    versions = state["subjects"].setdefault(subject, [])
    if number not in versions:
        versions.append(number)
    save()
    return answer(number, subject, versions.index(number) + 1)


def answer(number, subject=None, version=None):
    guid = str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))
    named = {"subject": subject, "version": version} if subject else {}
    return {"id": number, "guid": guid, **named, **state["schemas"][number - 1]}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refused(self):
        expected = "Basic " + base64.b64encode(secret.encode()).decode() if secret else None
        if expected and self.headers.get("Authorization") != expected:
            self.reply(401, {"error_code": 40101, "message": "Unauthorized"})
            return True
        return False

    def do_GET(self):
        if self.refused():
            return
        parts = self.path.split("?")[0].strip("/").split("/")
        numbers = range(1, len(state["schemas"]) + 1)
        if parts[:2] == ["schemas", "ids"] and parts[2].isdigit() and int(parts[2]) in numbers:
            return self.reply(200, answer(int(parts[2])))
        if parts[:2] == ["schemas", "guids"]:
            found = [n for n in numbers if answer(n)["guid"] == parts[2]]
            if found:
                return self.reply(200, answer(found[0]))
        if parts[0] == "subjects" and len(parts) == 4 and parts[1] in state["subjects"]:
            versions = state["subjects"][parts[1]]
            version = len(versions) if parts[3] == "latest" else int(parts[3])
            if 0 < version <= len(versions):
                return self.reply(200, answer(versions[version - 1], parts[1], version))
        self.reply(404, {"error_code": 40403, "message": "Schema not found"})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.refused():
            return
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts[0] == "subjects" and parts[2:] in ([], ["versions"]):
            return self.reply(200, register(parts[1], body))
        self.reply(404, {"error_code": 404, "message": "Not found"})

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
print("ready", flush=True)
server.serve_forever()
