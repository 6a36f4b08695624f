#!/usr/bin/env python3
"""What a cluster costs: CPU for an event, and the speed of two processes, beside a process of its own.

    benches/cluster.py --brokers HOST:PORT [--events 6000000] [--rounds 3] [--commit 10s] [--pin]

Needs openssl and confluent-kafka (`benches/peers/setup.sh python` prints an interpreter that has it). Publishes predictions and half as many labels
into four partitions each, once; an id has the same partition in both. Each contender, one thread a process, counts all of them from the
beginning with a group and topics of its own: a process without a cluster, one that owns whole models, one that owns all partitions of a
divided model, and two that share them. Contenders take turns, and the medians of the rounds are printed with the smallest and the largest.

CPU is user and system time of the processes from the first counted event to the last one, so that the start is in none of them. Two
processes share the machine with the broker: with two cores they cannot be twice as fast. A process that divides reads each partition by
threads of its own, also with one thread for counting: --pin keeps each process to a core, so that two are compared with one.

DRIFTGATE names the binary (target/release/driftgate).
"""

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

PARTITIONS = 4
FEATURES = 10
POLICY = """apiVersion: driftgate/v1
model: shop
baseline: {snapshot: train.csv, columns: {score: score, label: label}}
features: {numeric: [%s], categorical: [country]}
score: {threshold: 0.5}
segments: [country]
labels: {horizon: 30m, lateness: 3m, attribute: label_time}
lateness: 2m
min_samples: 50
checks:
  drift: {window: {size: 30m, slide: 5m}, rules: [{psi: {of: features, lt: 0.2}}, {ks_p: {of: score, gte: 0.001}}]}
  fairness: {window: {size: 1h, slide: 1h}, rules: [{tpr_gap: {by: country, lt: 0.4, min_positives: 20}}]}
""" % ", ".join(f"f{i}" for i in range(FEATURES))
CONTENDERS = {"a process of its own": (None, 1), "whole models": ("models", 1), "divided, one process": ("partitions", 1),
              "divided, two processes": ("partitions", 2)}


def binary():
    return os.path.abspath(os.environ.get("DRIFTGATE", "target/release/driftgate"))


def ensure_topics(brokers, names):
    admin = AdminClient({"bootstrap.servers": brokers})
    for made in admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names]).values():
        made.result()


def write_snapshot(folder):
    rng = random.Random(7)
    with open(folder / "train.csv", "w", encoding="ascii") as out:
        out.write(",".join([f"f{i}" for i in range(FEATURES)] + ["country", "score", "label"]) + "\n")
        for _ in range(20_000):
            values = [f"{rng.gauss(50, 10):.3f}" for _ in range(FEATURES)]
            score = rng.random()
            out.write(",".join([*values, rng.choice(["de", "fr"]), f"{score:.4f}", str(int(score > 0.5))]) + "\n")


def publish(brokers, prefix, events):
    """Half a day of events that ends now."""
    producer = Producer({"bootstrap.servers": brokers, "compression.type": "lz4", "linger.ms": 20,
                         "queue.buffering.max.messages": 1_000_000})
    start = int(time.time() * 1000) - 12 * 3_600_000
    shared = [", ".join(f'"f{i}": {50 + ((k * 31 + i * 17) % 2001 - 1000) / 60:.3f}' for i in range(FEATURES)) for k in range(4096)]

    def send(topic, value, partition):
        while True:
            try:
                return producer.produce(prefix + topic, value, partition=partition)
            except BufferError:
                producer.poll(0.1)

    for i in range(events):
        ts = start + i * 12 * 3_600_000 // events
        score = (i * 7919 % 10007) / 10007
        send("p", f'{{"prediction_id": "r{i}", "model": "shop", "version": "1", "ts": {ts}, "score": {score:.4f}, "features": '
                  f'{{{shared[i % 4096]}, "country": "{"de" if i % 3 else "fr"}"}}}}', i // 2 % PARTITIONS)
        if i % 2 == 0:
            send("l", f'{{"prediction_id": "r{i}", "model": "shop", "ts": {ts + 60_000}, "label": {int(score > 0.5)}}}', i // 2 % PARTITIONS)
        if i % 20_000 == 0:
            producer.poll(0)
    producer.flush()
    return events + (events + 1) // 2


def configuration(folder, args, prefix, run, split, instance, port):
    cluster = ""
    if split:
        cluster = (f"cluster: {{instance: {instance}, split: {split}, commit: {args.commit}, session: 6s, advertise: \"http://127.0.0.1:{port}\", "
                   f"audit_key: audit.key, topics: {{prefix: \"{prefix}{run}.\", replication: 1}}}}\n")
    path = folder / f"{run}-{instance}.yaml"
    path.write_text(
        f"policies: [policy.yaml]\nkafka: {{brokers: \"{args.brokers}\", group: \"{prefix}{run}\"}}\n"
        f"sources:\n- {{topic: \"{prefix}p\", kind: predictions}}\n- {{topic: \"{prefix}l\", kind: labels}}\n"
        f"idle_after: 3s\nstate: {{path: \"state-{run}-{instance}\", every: {args.commit}}}\nhistory: none\n"
        f"registry: {{embedded: {{path: \"{run}-{instance}.db\"}}}}\nhttp: {{listen: \"127.0.0.1:{port}\"}}\n" + cluster)
    return path


def lags(port):
    """Messages that are there and not read, by partition; a partition is read by one process."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return {}
    found = (line.rsplit(" ", 1) for line in lines if line.startswith("driftgate_consumer_lag{"))
    return {series: int(float(value)) for series, value in found}


def counted(ports, total):
    """Events that were read; 0 until every partition has a reader that knows its end. Counters would not do: who gives a partition to
    another process no longer shows what it counted of it."""
    lag = {}
    for port in ports:
        lag.update(lags(port))
    return total - sum(lag.values()) if len(lag) == 2 * PARTITIONS else 0


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_once(folder, args, prefix, run, split, processes, total):
    """Seconds and CPU seconds from the first counted event to the last, by event."""
    ports = [args.port + i for i in range(processes)]
    files = [configuration(folder, args, prefix, run, split, chr(ord("a") + i), port) for i, port in enumerate(ports)]
    if split:
        subprocess.run([binary(), "cluster", "topics", "--create", "--config", files[0].name], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    logs = [open(file.with_suffix(".log"), "w", encoding="utf-8") for file in files]
    cores = sorted(os.sched_getaffinity(0))
    pin = [(lambda core=core: os.sched_setaffinity(0, {core})) if args.pin else None for core in cores]
    daemons = [subprocess.Popen([binary(), "run", "--threads", "1", "--config", file.name], cwd=folder, stdout=log, stderr=log,
                                preexec_fn=pin[i % len(pin)])
               for i, (file, log) in enumerate(zip(files, logs))]
    try:
        first = None
        until = time.monotonic() + args.timeout
        while True:
            now, seen = time.monotonic(), counted(ports, total)
            cpu = sum(cpu_seconds(daemon.pid) for daemon in daemons)
            if first is None and seen > total // 20:
                first = (now, seen, cpu)
            if seen >= total:
                break
            if now > until or any(daemon.poll() is not None for daemon in daemons):
                sys.exit(f"{run}: {seen} of {total} events were counted; see {folder}")
            time.sleep(0.1)
    finally:
        for daemon in daemons:
            daemon.send_signal(signal.SIGTERM)
        for daemon in daemons:
            daemon.wait()
    events = seen - first[1]
    return (now - first[0]) / events, (cpu - first[2]) / events


def shown(values, scale, digits):
    low, middle, high = min(values) * scale, statistics.median(values) * scale, max(values) * scale
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--events", type=int, default=6_000_000, help="predictions; half as many labels are published as well")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--commit", default="10s", help="how often state is written, in a cluster and without one")
    parser.add_argument("--pin", action="store_true", help="keep each process to a core of its own")
    parser.add_argument("--folder", type=Path, default=Path("target/bench/cluster"))
    parser.add_argument("--port", type=int, default=19471)
    parser.add_argument("--timeout", type=float, default=600, help="seconds that one run may take")
    args = parser.parse_args()
    prefix = f"cost{int(time.time())}."
    folder = args.folder / prefix.rstrip(".")
    folder.mkdir(parents=True)
    (folder / "policy.yaml").write_text(POLICY)
    os.umask(0o077)
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", folder / "audit.key"], check=True)
    write_snapshot(folder)
    ensure_topics(args.brokers, [prefix + "p", prefix + "l"])
    total = publish(args.brokers, prefix, args.events)
    print(f"{total} events in {PARTITIONS} partitions, state every {args.commit}", flush=True)
    found = {name: [] for name in CONTENDERS}
    for number in range(args.rounds):
        for at, (name, (split, processes)) in enumerate(CONTENDERS.items()):
            found[name].append(run_once(folder, args, prefix, f"r{number}c{at}", split, processes, total))
            wall, cpu = found[name][-1]
            print(f"round {number + 1}: {name}: {1 / wall:,.0f} events/s, {cpu * 1e9:.0f} ns of CPU an event", file=sys.stderr, flush=True)
    print("\n|  | events/s | CPU an event, ns | CPU, of a process of its own | speed, of one process that divides |")
    print("|---|---|---|---|---|")
    alone, one = found["a process of its own"], found["divided, one process"]
    for name, runs in found.items():
        ratios = [run[1] / own[1] for run, own in zip(runs, alone)]
        speeds = [by[0] / run[0] for run, by in zip(runs, one)]
        rates = [1 / run[0] for run in runs]
        print(f"| {name} | {shown(rates, 1, 0)} | {shown([run[1] for run in runs], 1e9, 0)} | {shown(ratios, 1, 2)} | {shown(speeds, 1, 2)} |")


if __name__ == "__main__":
    main()
