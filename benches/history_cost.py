#!/usr/bin/env python3
"""What the history costs ingest: events per second and CPU for an event, with results over time on disk and without.

    benches/history_cost.py --brokers HOST:PORT [--events 3000000] [--rounds 5]

Needs confluent-kafka (`benches/peers/setup.sh python` prints an interpreter that has it). Publishes half a day of predictions and labels once, as
`benches/cluster.py` does, with drift judged every minute on 10 features and the score. A daemon with `history: {keep: 90d}` and one with `history: none` count all
of it from the beginning, in turns, each in a folder of its own, and begin in another order from round to round. Prints the medians with the smallest and the largest, the ratio
of each round's pair, and how many windows and bytes of history there are in the end.

DRIFTGATE names the binary (target/release/driftgate).
"""

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path

from cluster import PARTITIONS, POLICY, binary, counted, cpu_seconds, ensure_topics, publish, shown, write_snapshot

CONTENDERS = {"with history": "{keep: 90d}", "without": "none"}


def configuration(folder, args, prefix, history):
    folder.mkdir()
    path = folder / "driftgate.yaml"
    path.write_text(
        f"policies: [../policy.yaml]\nkafka: {{brokers: \"{args.brokers}\", group: \"{prefix}{folder.name}\"}}\n"
        f"sources:\n- {{topic: \"{prefix}p\", kind: predictions}}\n- {{topic: \"{prefix}l\", kind: labels}}\n"
        f"idle_after: 3s\nstate: {{path: state, every: 10s}}\nhistory: {history}\n"
        f"registry: {{embedded: {{path: registry.db}}}}\nhttp: {{listen: \"127.0.0.1:{args.port}\"}}\n")
    return path


def run_once(folder, args, prefix, history, total):
    """Seconds and CPU seconds for an event, from a twentieth of the events to the last one."""
    file = configuration(folder, args, prefix, history)
    command = [binary(), "run", "--config", file.name]
    with open(folder / "log", "w", encoding="utf-8") as log:
        daemon = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            first, until = None, time.monotonic() + args.timeout
            while True:
                now, seen, cpu = time.monotonic(), counted([args.port], total), cpu_seconds(daemon.pid)
                if first is None and seen > total // 20:
                    first = (now, seen, cpu)
                if seen >= total:
                    break
                if now > until or daemon.poll() is not None:
                    sys.exit(f"{seen} of {total} events were counted; see {folder}")
                time.sleep(0.05)
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait()
    events = seen - first[1]
    return (now - first[0]) / events, (cpu - first[2]) / events


def kept(folder):
    """Bytes of history in a folder."""
    return sum(file.stat().st_size for file in folder.glob("state/history/**/*") if file.is_file())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--events", type=int, default=3_000_000, help="predictions; half as many labels are published as well")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("target/bench/history_cost"))
    parser.add_argument("--port", type=int, default=19481)
    parser.add_argument("--timeout", type=float, default=600, help="seconds that one run may take")
    args = parser.parse_args()
    prefix = f"history{int(time.time())}."
    folder = args.folder / prefix.rstrip(".")
    folder.mkdir(parents=True)
    (folder / "policy.yaml").write_text(POLICY.replace("{size: 30m, slide: 5m}", "{size: 30m, slide: 1m}"))
    write_snapshot(folder)
    ensure_topics(args.brokers, [prefix + "p", prefix + "l"])
    total = publish(args.brokers, prefix, args.events)
    print(f"{total} events in {PARTITIONS} partitions of two topics", flush=True)
    found = {name: [] for name in CONTENDERS}
    for number in range(args.rounds):
        # Whoever is first finds the page cache colder.
        for name in sorted(CONTENDERS, reverse=number % 2 == 1):
            place = folder / f"r{number}-{name.split()[0]}"
            found[name].append(run_once(place, args, prefix, CONTENDERS[name], total))
            wall, cpu = found[name][-1]
            print(f"round {number + 1}: {name}: {1 / wall:,.0f} events/s, {cpu * 1e9:.0f} ns of CPU an event", file=sys.stderr, flush=True)
    written = kept(folder / f"r{args.rounds - 1}-with")
    if not written or kept(folder / f"r{args.rounds - 1}-without"):
        sys.exit(f"a history of {written} bytes: one side wrote none, or both did; see {folder}")
    print("\n|  | events/s | CPU an event, ns |\n|---|---|---|")
    for name, runs in found.items():
        print(f"| {name} | {shown([1 / run[0] for run in runs], 1, 0)} | {shown([run[1] for run in runs], 1e9, 0)} |")
    pairs = list(zip(found["with history"], found["without"]))
    speed, cpu = ([of[at] / other[at] for of, other in pairs] for at in (0, 1))
    print(f"| time of an event, with over without | {shown(speed, 1, 3)} | {shown(cpu, 1, 3)} |")
    print(f"\n{written / 1e6:.1f} MB of history")


if __name__ == "__main__":
    main()
