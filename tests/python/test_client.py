"""The client of the HTTP API, against the daemon in `DRIFTGATE_TEST_DAEMON`, and servers that misbehave."""

from __future__ import annotations

import copy
import http.server
import json
import os
import pickle
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

import driftgate
from driftgate import ApiError, Client

URL = os.environ["DRIFTGATE_TEST_DAEMON"]
MODEL = "flight_delay"
HOUR = 3_600_000


def client(token: Optional[str] = "operator") -> Client:
    return Client(URL, None if token is None else f"{token}-secret-of-these-tests-0123456789")


class AgainstTheDaemon(unittest.TestCase):
    def test_a_version_is_registered_judged_by_the_gate_and_read_back(self) -> None:
        operator = client()
        self.assertIn("ready", operator.ready())
        name = "candidate ü 1"
        record = operator.register(MODEL, name, evidence={"tests": "pass"}, artifact_sha256="0" * 64)
        self.assertEqual((record["model"], record["version"]), (MODEL, name))
        operator.attach(MODEL, name, {"offline": {"auc": 0.5}})
        detail = operator.version(MODEL, name)
        self.assertEqual(detail["version"], name)
        answer = operator.gate(MODEL, name, "prod", wait=0.1)
        self.assertFalse(answer["ok"])
        self.assertIn(answer["verdict"], ("block", "inconclusive", "pending"))
        self.assertTrue(answer["reasons"])
        promoted = operator.promote(MODEL, name)
        self.assertEqual((promoted["ok"], promoted.get("record")), (False, None))
        history = operator.history(MODEL, limit=1000)
        self.assertGreaterEqual(len(history["history"]), 2)
        self.assertEqual(operator.verdicts(MODEL, name, limit=5), [])
        self.assertEqual(operator.promotions(MODEL, name)["promotions"], [])
        self.assertIn(MODEL, [model["model"] for model in operator.models()["models"]])
        self.assertEqual(operator.model(MODEL)["model"], MODEL)
        self.assertIn("problems", operator.status())

    def test_a_model_is_frozen_and_resumed(self) -> None:
        operator = client()
        self.assertEqual(operator.freeze(MODEL, "a test")["model"], MODEL)
        self.assertEqual(operator.resume(MODEL)["model"], MODEL)

    def test_what_the_daemon_refuses_is_told_with_its_status(self) -> None:
        for who, call, status, words in [
            (None, lambda c: c.freeze(MODEL, "a test"), 401, "token"),
            ("reader", lambda c: c.freeze(MODEL, "a test"), 403, ""),
            ("operator", lambda c: c.version(MODEL, "no such version"), 404, ""),
            ("operator", lambda c: c.gate("no such model", "1"), 404, "flight_delay"),
            ("operator", lambda c: c.rollback(MODEL, "1", ""), 400, "reason"),
        ]:
            with self.assertRaises(ApiError) as raised:
                call(client(who))
            self.assertEqual(raised.exception.status, status, str(raised.exception))
            self.assertIn(words, raised.exception.text)
            self.assertIn(str(status), str(raised.exception))
            sent = pickle.loads(pickle.dumps(raised.exception))
            self.assertEqual((str(sent), sent.status), (str(raised.exception), status))
            self.assertIsInstance(copy.copy(raised.exception), driftgate.Error)

    def test_no_token_is_shown(self) -> None:
        self.assertNotIn("secret", repr(client()))
        with self.assertRaises(ApiError) as raised:
            Client(URL, "wrong-secret-of-nobody-0123456789-0123").freeze(MODEL, "a test")
        self.assertNotIn("wrong-secret", str(raised.exception))

    def test_the_script_of_the_guide_runs(self) -> None:
        text = Path(__file__).resolve().parents[2].joinpath("docs/guide/python.md").read_text(encoding="utf-8")
        scripts = list(_blocks(text))
        self.assertGreater(len(scripts), 1)
        whole = "\n".join(scripts).replace("http://127.0.0.1:9464", URL)
        environment = {**os.environ, "DRIFTGATE_TOKEN": "operator-secret-of-these-tests-0123456789"}
        ran = subprocess.run(
            [sys.executable, "-"], input=whole, text=True, env=environment, capture_output=True, check=False
        )
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertIn("may not go to prod", ran.stdout)


class ABlock(unittest.TestCase):
    """A version whose events block it, from the first of them to prod."""

    def waited(self, what: str, ask: Callable[[], Any]) -> Any:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            found = ask()
            if found:
                return found
            time.sleep(0.2)
        self.fail(f"no {what} in a minute")

    def test_a_block_is_explained_overridden_ended_and_the_version_promoted(self) -> None:
        operator, owner, folder = client(), client("owner"), Path(os.environ["DRIFTGATE_TEST_FOLDER"])
        operator.register("shop", "0", stage="prod")
        digests = {"data_snapshot": "sha256:" + "1" * 64, "artifact_digest": "sha256:" + "3" * 64}
        operator.register("shop", "1", stage="staging", evidence={**digests, "code_commit": "2" * 40})
        # The last window to close ended at most two hours ago.
        start = int(time.time()) * 1000 // HOUR * HOUR - 4 * HOUR
        events = [
            {"model": "shop", "version": "1", "prediction_id": f"{hour}-{i}", "ts": start + hour * HOUR + i * 1000}
            | {"features": {"a": 20 if hour == 2 else 10}}
            for hour in range(4)
            for i in range(30)
        ]
        file = folder / "events.jsonl"
        file.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
        to = {"brokers": os.environ["DRIFTGATE_TEST_BROKERS"], "kind": "predictions"}
        said = driftgate.emit(file, os.environ["DRIFTGATE_TEST_TOPIC"], folder / "shop.yaml", **to)
        self.assertEqual(said["published"], 120)
        blocks = self.waited("block", lambda: operator.explain("shop", "1")["blocks"])
        self.assertEqual([block["group"] for block in blocks], ["drift"])
        explained = operator.explain("shop", "1")
        self.assertEqual((explained["version"], explained["stages"]), ("1", ["staging"]))
        self.assertEqual(explained["verdicts"][0]["results"][0]["value"], 20)

        # The history is written a moment after the verdict.
        def series() -> list[Any]:
            found = operator.series("shop", "1", rule="drift/mean")["series"]
            return [of for of in found if len(of["points"]) == 3]

        found = self.waited("series of three windows", series)
        self.assertEqual([point["value"] for point in found[0]["points"]], [10, 10, 20])
        self.assertEqual((found[0]["rule"], found[0]["subject"]), ("drift/mean", "a"))
        self.assertEqual(operator.gate("shop", "1")["verdict"], "block")

        approved = owner.approve("shop", "1", comment="looked at")
        self.assertEqual(approved["approval"]["actor"], "owner")
        with self.assertRaises(ApiError) as refused:
            operator.approve("shop", "1")
        self.assertEqual(refused.exception.status, 403)
        overridden = operator.override("shop", "1", "drift/mean", "a sale, which is known", lasts="24h")
        self.assertEqual((overridden["override"]["rule"], overridden["override"]["actor"]), ("drift/mean", "operator"))
        ended = operator.unblock("shop", "1", "a sale, which is known", group="drift")
        self.assertEqual([block["group"] for block in ended["ended"]], ["drift"])
        self.assertEqual(operator.explain("shop", "1")["blocks"], [])
        self.assertEqual(len(operator.explain("shop", "1")["overrides"]), 1)
        gate = operator.gate("shop", "1", wait=5)
        self.assertTrue(gate["ok"], gate)
        promoted = operator.promote("shop", "1", comment="approved by its owner")
        self.assertTrue(promoted["ok"], promoted)
        self.assertIn("prod", operator.explain("shop", "1")["stages"])


def _blocks(text: str) -> Iterator[str]:
    for block in text.split("```python\n")[1:]:
        yield block.split("```", 1)[0]


class Answers(unittest.TestCase):
    """What is no daemon."""

    def serve(self, status: int, body: bytes, headers: Optional[dict[str, str]] = None) -> Client:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return Client(f"http://127.0.0.1:{server.server_port}", "a-token", timeout=5)

    def told(self, asked: Client, change: bool = False) -> ApiError:
        with self.assertRaises(ApiError) as raised:
            if change:
                asked.freeze("m", "a test")
            else:
                asked.models()
        return raised.exception

    def test_an_answer_that_is_no_json_is_told(self) -> None:
        self.assertIn("no JSON", self.told(self.serve(200, b"<html>")).text)
        self.assertIn("no JSON", self.told(self.serve(200, b"\xff\xfe")).text)
        broken = self.told(self.serve(502, b"bad gateway"))
        self.assertEqual((broken.status, broken.text), (502, "bad gateway"))
        self.assertEqual(self.told(self.serve(503, b"")).status, 503)

    def test_a_token_is_sent_to_nobody_that_the_daemon_names(self) -> None:
        away = {"Location": "http://127.0.0.2:1/elsewhere"}
        for change in (False, True):
            self.assertIn("127.0.0.2", self.told(self.serve(307, b"", away), change).text)

    def test_nobody_answers(self) -> None:
        told = self.told(Client("http://127.0.0.1:1", timeout=2))
        self.assertIsNone(told.status)
        self.assertIn("cannot be reached", str(told))

    def test_wrong_arguments_are_told_before_anything_is_sent(self) -> None:
        for url in ("", "localhost:9464", "ftp://x", "http://x?y=1"):
            with self.assertRaises(ValueError):
                Client(url)
        for token in ("", "a b", "a\n", "ä"):
            with self.assertRaises(ValueError):
                Client(URL, token)
        with self.assertRaises(ValueError):
            Client(URL, timeout=0)
        for name in ("", ".", ".."):
            with self.assertRaises(ValueError):
                client().version(MODEL, name)


class Types(unittest.TestCase):
    def test_the_types_are_those_of_the_description(self) -> None:
        ran = subprocess.run([sys.executable, str(Path(__file__).parent / "types_of_api.py"), "--check"], check=False)
        self.assertEqual(ran.returncode, 0, "run tests/python/types_of_api.py")
