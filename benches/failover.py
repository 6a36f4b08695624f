#!/usr/bin/env python3
"""How long a cluster says nothing: after the owner of a model is killed, and after it is asked to end.

    benches/failover.py --brokers HOST:PORT [--pending 0,1000000,10000000] [--rounds 3] [--session 6s] [--commit 1s]

Needs openssl and confluent-kafka, as benches/cluster.py. Two processes share one model whose predictions wait for labels: so many as --pending
says, published before. Then events go on, a minute of event time in half a second, so that a verdict leaves with each commit. The owner of the
model gets SIGKILL, later its successor SIGTERM; who was ended is started again in between. Printed are the medians of the rounds, with the
smallest and the largest: from the signal to the first verdict of the next owner, as a consumer of the topic of
verdicts sees it. Verdicts come every --commit in normal operation.

DRIFTGATE names the binary (target/release/driftgate).
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import cluster
from confluent_kafka import Consumer, Producer

PARTITIONS = cluster.PARTITIONS
POLICY = """apiVersion: driftgate/v1
model: shop
baseline: {snapshot: train.csv, columns: {score: score, label: label}}
features: {numeric: [f0], categorical: [country]}
score: {threshold: 0.5}
labels: {horizon: 30d, lateness: 1m, attribute: prediction_time}
lateness: 0s
min_samples: 5
checks:
  drift: {window: {size: 1m, slide: 1m}, rules: [{psi: {of: features, lt: 0.2}}]}
  quality: {window: {size: 1d, slide: 1d}, rules: [{accuracy: {gt: 0.1}}]}
"""
MINUTE = 60_000


class Events:
    """Predictions of one model, in order of event time: some at once, and then a minute of event time in half a second."""

    def __init__(self, brokers, topic, start):
        self.producer = Producer({"bootstrap.servers": brokers, "compression.type": "lz4", "linger.ms": 5,
                                  "queue.buffering.max.messages": 1_000_000})
        self.topic, self.now, self.sent = topic, start, 0
        self.stopped = threading.Event()

    def send(self, partition):
        value = (f'{{"prediction_id": "r{self.sent}", "model": "shop", "version": "1", "ts": {self.now}, "score": {self.sent % 997 / 997:.3f}, '
                 f'"features": {{"f0": {40 + self.sent % 20}.5, "country": "{"de" if self.sent % 3 else "fr"}"}}}}')
        while True:
            try:
                self.producer.produce(self.topic, value, partition=partition)
                break
            except BufferError:
                self.producer.poll(0.1)
        self.sent += 1

    def pending(self, events):
        """So many within a day of event time."""
        begin = self.now
        for i in range(events):
            self.now = begin + i * 1440 * MINUTE // max(events, 1)
            self.send(i % PARTITIONS)
            if i % 20_000 == 0:
                self.producer.poll(0)
        self.producer.flush()

    def go_on(self):
        while not self.stopped.is_set():
            for partition in range(PARTITIONS):
                self.send(partition)
            self.producer.poll(0)
            self.now += 3_000
            time.sleep(0.025)
        self.producer.flush()


class Verdicts:
    """When verdicts came that had not come before."""

    def __init__(self, brokers, topic):
        self.consumer = Consumer({"bootstrap.servers": brokers, "group.id": topic, "auto.offset.reset": "earliest", "isolation.level": "read_committed",
                                  "enable.auto.commit": False})
        self.consumer.subscribe([topic])
        self.known, self.times, self.ends = set(), [], threading.Event()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while not self.ends.is_set():
            message = self.consumer.poll(0.1)
            if message is None or message.error():
                continue
            found = json.loads(message.value())["verdict_id"]
            if found not in self.known:
                self.known.add(found)
                self.times.append(time.monotonic())
        self.consumer.close()

    def silence_after(self, at, most):
        """Seconds from `at` to the verdict that ends the longest silence since."""
        until = at + most
        while time.monotonic() < until:
            # What had left before may still be on its way.
            after = [t for t in self.times if t > at]
            gaps = [(later - before, later) for before, later in zip([at, *after], after)]
            if gaps and max(gaps)[0] > 0.8 and time.monotonic() - max(gaps)[1] > 3:
                return max(gaps)[1] - at
            time.sleep(0.1)
        sys.exit(f"no verdict for {most} s")


class Process:
    def __init__(self, folder, config, instance, port):
        self.folder, self.config, self.instance, self.port, self.child = folder, config, instance, port, None
        self.start()

    def start(self):
        log = open(self.config.with_suffix(".log"), "a", encoding="utf-8")
        self.child = subprocess.Popen([cluster.binary(), "run", "--config", self.config.name], cwd=self.folder, stdout=log, stderr=log)

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            return None

    def owns(self):
        """Whether it counts the model, by its last commit."""
        found = json.loads(self.get("/api/v1/cluster") or "{}")
        return any(unit["owner"] == self.instance for unit in found.get("units", []))


def wait(what, found, most=300):
    until = time.monotonic() + most
    while time.monotonic() < until:
        if value := found():
            return value
        time.sleep(0.2)
    sys.exit(f"waited {most} s for {what}")


def configuration(folder, args, prefix, instance, port):
    path = folder / f"{instance}.yaml"
    path.write_text(
        f"policies: [policy.yaml]\nkafka: {{brokers: \"{args.brokers}\", group: \"{prefix}group\"}}\n"
        f"sources:\n- {{topic: \"{prefix}p\", kind: predictions}}\n"
        f"idle_after: 3s\nstate: {{path: \"state-{instance}\", every: {args.commit}}}\nhistory: none\npublish: {{verdicts: \"{prefix}v\"}}\n"
        f"registry: {{embedded: {{path: \"{instance}.db\"}}}}\nhttp: {{listen: \"127.0.0.1:{port}\"}}\n"
        f"cluster: {{instance: {instance}, split: models, commit: {args.commit}, session: {args.session}, advertise: \"http://127.0.0.1:{port}\", "
        f"audit_key: audit.key, topics: {{prefix: \"{prefix}\", replication: 1}}}}\n")
    return path


def run_once(args, number, pending):
    """Seconds from SIGKILL and from SIGTERM to the next owner's first verdict."""
    prefix = f"failover{int(time.time())}."
    folder = args.folder / f"{prefix}{number}"
    folder.mkdir(parents=True)
    (folder / "policy.yaml").write_text(POLICY)
    cluster.write_snapshot(folder)
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", folder / "audit.key"], check=True)
    cluster.ensure_topics(args.brokers, [prefix + "p", prefix + "v"])
    files = [configuration(folder, args, prefix, name, args.port + i) for i, name in enumerate(["a", "b"])]
    subprocess.run([cluster.binary(), "cluster", "topics", "--create", "--config", files[0].name], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    events = Events(args.brokers, prefix + "p", int(time.time() * 1000) - 10 * 1440 * MINUTE)
    events.pending(pending)
    processes = [Process(folder, file, name, args.port + i) for i, (file, name) in enumerate(zip(files, ["a", "b"]))]
    feeder = threading.Thread(target=events.go_on, daemon=True)
    feeder.start()
    verdicts = Verdicts(args.brokers, prefix + "v")
    found = []
    try:
        for ends in (signal.SIGKILL, signal.SIGTERM):
            wait("both processes", lambda: all(p.get("/ready") for p in processes))
            wait("the events that were published before", lambda: len(verdicts.times) > 20 and time.monotonic() - verdicts.times[-1] < 2)
            # The state is committed, and nothing moves between the two any more.
            time.sleep(15)
            owner = wait("an owner", lambda: next((p for p in processes if p.owns()), None))
            at = time.monotonic()
            owner.child.send_signal(ends)
            owner.child.wait()
            found.append(verdicts.silence_after(at, 300))
            owner.start()
        memory = max(int(line.split()[1]) for p in processes for line in Path(f"/proc/{p.child.pid}/status").read_text().splitlines()
                     if line.startswith("VmHWM"))
    finally:
        events.stopped.set()
        feeder.join()
        verdicts.ends.set()
        for process in processes:
            process.child.send_signal(signal.SIGTERM)
        for process in processes:
            process.child.wait()
    return (*found, memory / 1024)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--pending", default="0,1000000,10000000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--session", default="6s")
    parser.add_argument("--commit", default="1s")
    parser.add_argument("--folder", type=Path, default=Path("target/bench/failover"))
    parser.add_argument("--port", type=int, default=19481)
    args = parser.parse_args()
    os.umask(0o077)
    print(f"session {args.session}, commit every {args.commit}\n")
    print("| predictions that wait | after SIGKILL, s | after SIGTERM, s | most resident, MiB |\n|---|---|---|---|")
    for pending in map(int, args.pending.split(",")):
        runs = [run_once(args, number, pending) for number in range(args.rounds)]
        kill, term, memory = zip(*runs)
        print(f"| {pending:,} | {cluster.shown(kill, 1, 1)} | {cluster.shown(term, 1, 1)} | {cluster.shown(memory, 1, 0)} |", flush=True)


if __name__ == "__main__":
    main()
