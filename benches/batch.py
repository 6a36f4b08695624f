#!/usr/bin/env python3
"""Counts generated events by parts and compares the bytes with a replay over the same events.

    benches/batch.py [--events 100000000] [--files 50] [--processes 2] [--buckets 64] [--seed 1] [--folder target/bench/batch]

Writes --files files of predictions and of labels (JSON lines) from the seed: two versions, three stages, segments, categories that the
training data does not have, orders that are late, sent twice or scored by both versions, a clock ahead now and then, labels up to two hours
after their predictions, some of them late or beyond the horizon. Runs every pass over every file, so many processes at a time, merges in
a tree, judges, then replays the concatenated files, and compares. Prints time and peak memory of each pass as a table.

DRIFTGATE names the binary (target/release/driftgate). The same seed makes the same files, which are kept and used again.
"""

import argparse
import filecmp
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

POLICY = """apiVersion: driftgate/v1
model: shop
baseline:
  snapshot: "train_v{version}.csv"
  columns: {score: score, label: label}
features:
  numeric: [amount, items]
  categorical: [country]
score: {threshold: 0.5}
segments: [country]
labels: {horizon: 1h, attribute: label_time, lateness: 5m}
lateness: 5m
min_samples: 100
checks:
  drift:
    window: {size: 1h, slide: 10m}
    rules:
    - psi: {of: features, lt: 0.2, warn: 0.1}
    - latency_p95_ms: {lt: 95}
  fairness:
    window: {size: 2h, slide: 1h}
    rules:
    - tpr_gap: {by: country, lt: 0.4, min_positives: 20}
    - auc: {gte: 0.3}
"""
START = 1_700_000_000_000
HORIZON = 3_600_000


def event_time(n: int, events: int) -> int:
    """Two days of events, whatever their number."""
    return START + n * 172_800_000 // events


def write_files(job: "tuple[Path, int, int, int, int]") -> None:
    """One file of predictions, and of labels those that come while it is written; alone reproducible, so that any process can."""
    folder, number, files, events, seed = job
    low, high = events * number // files, events * (number + 1) // files
    with open(folder / f"p-{number:03}.jsonl", "w", encoding="ascii", buffering=1 << 20) as out:
        for block in range(low // BLOCK, (high - 1) // BLOCK + 1):
            for n, line in predictions(block, events, seed):
                if low <= n < high:
                    out.write(line)
    first, last = event_time(low, events), event_time(high, events)
    if number == files - 1:
        last = 1 << 60
    if number == 0:
        first = 0
    reach = (2 * HORIZON + 600_000) * events // 172_800_000
    found = []
    for block in range(max(0, low - reach) // BLOCK, min(events - 1, high + reach) // BLOCK + 1):
        found += [label for label in labels(block, events, seed) if first <= label[0] < last]
    found.sort()
    with open(folder / f"l-{number:03}.jsonl", "w", encoding="ascii", buffering=1 << 20) as out:
        out.writelines(line for _, line in found)


BLOCK = 10_000


def numbers(block: int, events: int) -> range:
    return range(block * BLOCK, min(events, (block + 1) * BLOCK))


def predictions(block: int, events: int, seed: int):
    """The predictions of a block: number and line; a repeated one has the number of the first."""
    of = random.Random(f"{seed}/{block}/p")
    for n in numbers(block, events):
        a, b, c = of.random(), of.random(), of.random()
        drifted = 0.3 < n / events < 0.4
        ts = event_time(n, events)
        if a < 0.02:
            ts -= int(b * 1_200_000)
        elif a < 0.0201:
            ts += 5_400_000
        country = ("de", "fr", "it", "es")[int(b * 4)] if c < 0.995 else "zz"
        version = "2" if c < 0.3 else "1"
        line = (
            f'{{"prediction_id":"o{n}","model":"shop","version":"%s","ts":{ts},"score":{a:.4f},"stage":"{"prod" if c > 0.2 else "staging"}",'
            f'"latency_ms":{b * 100:.2f},"features":{{"amount":{b * 100 + (40 if drifted else 0):.3f},"items":{int(c * 9)},"country":"{country}"}}}}\n'
        )
        yield n, line % version
        if 0.5 < a < 0.51:
            yield n, line % version
        elif 0.6 < a < 0.62:
            yield n, line % ("1" if version == "2" else "2")


def labels(block: int, events: int, seed: int):
    """The labels of a block's predictions: when each comes, and its line."""
    of = random.Random(f"{seed}/{block}/l")
    for n in numbers(block, events):
        a, b = of.random(), of.random()
        if a < 0.1:
            continue
        ts = event_time(n, events) + int(b * b * b * 2 * HORIZON)
        came = ts + (600_000 if 0.3 < a < 0.303 else int(a * 60_000))
        yield came, f'{{"prediction_id":"o{n}","model":"shop","ts":{ts},"label":{int(a * 100) % 2}}}\n'


def snapshot(path: Path, seed: int) -> None:
    of = random.Random(f"{seed}/{path.name}")
    rows = ["amount,items,country,score,label\n"]
    for n in range(20_000):
        rows.append(f"{of.random() * 100:.3f},{int(of.random() * 9)},{of.choice(['de', 'fr', 'it', 'es'])},{of.random():.4f},{n % 2}\n")
    path.write_text("".join(rows))


class Passes:
    """Runs commands, so many at a time, and keeps their times."""

    def __init__(self, binary: str, folder: Path, processes: int) -> None:
        self.binary, self.folder, self.processes = binary, folder, processes
        self.table: "list[tuple[str, int, float, float, int]]" = []

    def one(self, arguments: "list[str]") -> "tuple[float, int]":
        child = subprocess.Popen([self.binary, *arguments], cwd=self.folder, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            sys.exit(f"driftgate {' '.join(arguments)[:300]}: exit code {child.returncode}")
        return used.ru_utime + used.ru_stime, used.ru_maxrss

    def run(self, name: str, commands: "list[list[str]]") -> None:
        began = time.monotonic()
        with ThreadPoolExecutor(self.processes) as pool:
            done = list(pool.map(self.one, commands))
        self.table.append((name, len(commands), time.monotonic() - began, sum(cpu for cpu, _ in done), max(rss for _, rss in done)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000_000)
    parser.add_argument("--files", type=int, default=50)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--buckets", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("target/bench/batch"))
    args = parser.parse_args()
    binary = os.path.abspath(os.environ.get("DRIFTGATE", "target/release/driftgate"))
    data = (args.folder / f"{args.events}-{args.files}-{args.seed}").resolve()
    if not (data / "made").exists():
        data.mkdir(parents=True, exist_ok=True)
        (data / "policy.yaml").write_text(POLICY)
        for version in "12":
            snapshot(data / f"train_v{version}.csv", args.seed)
        jobs = [(data, n, args.files, args.events, args.seed) for n in range(args.files)]
        began = time.monotonic()
        with multiprocessing.Pool(args.processes) as pool:
            pool.map(write_files, jobs, chunksize=1)
        (data / "made").write_text("")
        print(f"made in {time.monotonic() - began:.0f} s", flush=True)
    work = data / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    policy = ["--policy", str(data / "policy.yaml")]
    passes = Passes(binary, work, args.processes)
    parts = [(kind, n, str(data / f"{kind[0]}-{n:03}.jsonl")) for kind in ("predictions", "labels") for n in range(args.files)]

    def count(step: str, out: str, of: "list[tuple[str, int, str]]", *more: str) -> "list[list[str]]":
        return [
            ["count", "--pass", step, *policy, *more, "--kind", kind, "--place", str(n), "--split", path, "--out", f"{kind}-{n}.{out}"]
            for kind, n, path in of
        ]

    def listed(name: str, names: "list[str]") -> str:
        (work / name).write_text("".join(f"{n}\n" for n in names))
        return f"@{name}"

    began = time.monotonic()
    passes.run("scan", count("scan", "scan", parts))
    scans = listed("scans", [f"{kind}-{n}.scan" for kind, n, _ in parts])
    passes.run("carry", [["carry", *policy, "--buckets", str(args.buckets), "--out", "carry0", scans]])
    passes.run("share", count("share", "shared", parts, "--carry", "carry0"))
    shared = listed("shared", [f"{kind}-{n}.shared" for kind, n, _ in parts])
    pairs = [["count", "--pass", "pair", *policy, "--carry", "carry0", "--bucket", str(n), "--out", f"{n}.paired", shared] for n in range(args.buckets)]
    passes.run("pair", pairs)
    paired = [f"{n}.paired" for n in range(args.buckets)]
    passes.run("carry, joined", [["carry", *policy, "--carry", "carry0", "--out", "carry1", listed("paired", paired)]])
    passes.run("count", count("count", "partial", parts[: args.files], "--carry", "carry1"))
    partials = paired + [f"predictions-{n}.partial" for n in range(args.files)]
    level = 0
    while len(partials) > 8:
        groups = [partials[at : at + 8] for at in range(0, len(partials), 8)]
        merged = [f"merged-{level}-{n}" for n in range(len(groups))]
        passes.run(f"merge {level}", [["merge", "--out", out, *group] for out, group in zip(merged, groups)])
        partials, level = merged, level + 1
    passes.run("judge", [["judge", *policy, *partials, "--verdicts", "verdicts.jsonl", "--signals", "signals.jsonl"]])
    whole = time.monotonic() - began
    for kind in "pl":
        with open(work / f"{kind}.jsonl", "wb") as out:
            for n in range(args.files):
                with open(data / f"{kind}-{n:03}.jsonl", "rb") as part:
                    shutil.copyfileobj(part, out, 1 << 20)
    replay = ["replay", *policy, "--predictions", "p.jsonl", "--labels", "l.jsonl", "--threads", str(args.processes)]
    passes.run("replay", [[*replay, "--verdicts", "replayed.jsonl", "--signals", "replayed-signals.jsonl"]])
    print(f"{args.events} events in {args.files} files, {args.processes} processes: all passes {whole:.1f} s")
    print("| pass | processes run | seconds | CPU seconds | peak MB of one |\n|---|---:|---:|---:|---:|")
    for name, runs, seconds, cpu, rss in passes.table:
        print(f"| {name} | {runs} | {seconds:.1f} | {cpu:.1f} | {rss / 1024:.0f} |")
    size = {kind: sum((work / f"{kind}-{n}.shared").stat().st_size for n in range(args.files)) for kind in ("predictions", "labels")}
    print(f"shared rows: {size['predictions'] / 1e6:.0f} MB of predictions, {size['labels'] / 1e6:.0f} MB of labels")
    same = all(filecmp.cmp(work / a, work / b, shallow=False) for a, b in (("verdicts.jsonl", "replayed.jsonl"), ("signals.jsonl", "replayed-signals.jsonl")))
    lines = sum(1 for _ in open(work / "replayed.jsonl", "rb")), sum(1 for _ in open(work / "replayed-signals.jsonl", "rb"))
    print(f"{lines[0]} verdicts, {lines[1]} signals: {'the same bytes' if same else 'THEY DIFFER'}")
    (work / "p.jsonl").unlink()
    (work / "l.jsonl").unlink()
    sys.exit(0 if same and lines[0] > 0 else 1)


if __name__ == "__main__":
    main()
