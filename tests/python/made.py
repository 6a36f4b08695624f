"""A made-up shop: events with a seed, in files as a job writes them, and the policy and snapshots that judge them.

Events come out of order and late, some ids twice, some labels before their prediction, twice, null or without one;
lines are damaged; other models' events lie between; version 3 appears late and has no snapshot.
"""

from __future__ import annotations

import csv
import json
import random
import subprocess
from pathlib import Path
from typing import Optional

import driftgate

MINUTE = 60_000
START = 1_700_000_000_000
PERIOD = 36 * 60 * MINUTE
LATENESS = 10 * MINUTE

POLICY = """apiVersion: driftgate/v1
model: shop
baseline:
  snapshot: "train v{version}.csv"
  columns: {score: score, label: label}
features:
  numeric: [amount, items]
  categorical: [country, gift]
score: {threshold: 0.5}
segments: [country, country*gift]
labels: {horizon: 2h, attribute: label_time, lateness: 10m}
lateness: 10m
min_samples: 50
checks:
  drift:
    window: {size: 2h, slide: 1h}
    rules:
    - psi: {of: features, lt: 0.2, warn: 0.1}
    - ks_p: {of: [amount, score], gte: 0.001}
    - missing_rate: {of: features, max_increase: 0.1}
    - invalid_rate: {of: features, lte: 0.01}
  fairness:
    window: {size: 4h, slide: 1h}
    rules:
    - tpr_gap: {by: country, lt: 0.4, min_positives: 20}
"""

# The same without labels: nothing is joined.
UNLABELLED = POLICY.split("  fairness:")[0].replace("labels: {horizon: 2h, attribute: label_time, lateness: 10m}\n", "")


class Shop:
    """Events in the order in which they arrive."""

    def __init__(self, orders: int, seed: int = 7) -> None:
        random_ = random.Random(seed)
        predictions: list[tuple[int, dict]] = []
        labels: list[tuple[int, dict]] = []
        for number in range(orders):
            ts = START + number * PERIOD // orders
            drifted, newer = orders // 3 < number < orders // 2, number > orders // 2
            event = order(random_, f"order-{number}", ts, drifted, newer)
            # A few come after their window closed; the rest within the lateness.
            delay = random_.randrange(LATENESS) if random_.random() < 0.98 else 3 * 60 * MINUTE
            predictions.append((ts + delay, event))
            if random_.random() < 0.02:
                predictions.append((ts + delay + random_.randrange(30 * MINUTE), {**event, "score": 0.9}))
            if random_.random() < 0.01:
                predictions.append((ts + delay, {**event, "model": "another"}))
            if random_.random() < 0.9:
                at = ts + random_.randrange(-8, 200) * MINUTE
                paid = random_.random() < (0.8 if (event["score"] or 0) >= 0.5 else 0.2)
                label = {"prediction_id": event["prediction_id"], "model": "shop", "ts": at, "label": int(paid)}
                if random_.random() < 0.03:
                    label["label"] = None
                if random_.random() < 0.02:
                    label["prediction_id"] = f"nobodys-{number}"
                labels.append((at + random_.randrange(LATENESS), label))
                if random_.random() < 0.02:
                    labels.append((at + LATENESS, {**label, "label": 1}))
        self.predictions = [line for _, line in sorted(predictions, key=lambda of: of[0])]
        self.labels = [line for _, line in sorted(labels, key=lambda of: of[0])]

    def write(self, folder: Path, files: int) -> tuple[Path, Path]:
        """Writes folders of JSON lines, `predictions` and `labels`, with so many files each, and beside them
        `predictions.jsonl` and `labels.jsonl` with the same lines; the two folders."""
        folders = []
        for kind, events in (("predictions", self.predictions), ("labels", self.labels)):
            lines = [json.dumps(event) for event in events]
            for at in range(500, len(lines), 997):
                lines[at] = lines[at][: len(lines[at]) // 2]
            cut(folder / kind, [line + "\n" for line in lines], files)
            (folder / f"{kind}.jsonl").write_text("".join(line + "\n" for line in lines))
            folders.append(folder / kind)
        return folders[0], folders[1]


def cut(folder: Path, lines: list[str], files: int) -> None:
    """Files of about as many lines each, beside what other tools leave in such folders."""
    folder.mkdir(parents=True)
    (folder / "_SUCCESS").touch()
    (folder / ".part-00000.jsonl.crc").write_bytes(b"crc")
    for number in range(files):
        part = lines[len(lines) * number // files : len(lines) * (number + 1) // files]
        (folder / f"part-{number:05}.jsonl").write_text("".join(part))


def order(random_: random.Random, name: str, ts: int, drifted: bool, newer: bool) -> dict:
    amount = random_.gauss(100, 30) + (80 if drifted else 0)
    version = random_.choices(["1", "2", "3"], [70, 25, 5 if newer else 0])[0]
    return {
        "prediction_id": name,
        "model": "shop",
        "version": version,
        "ts": ts,
        "score": None if random_.random() < 0.02 else random_.randrange(1000) / 1000,
        "features": {
            "amount": "many" if random_.random() < 0.001 else None if random_.random() < 0.05 else round(amount, 2),
            "items": random_.randrange(9),
            "country": None if random_.random() < 0.05 else random_.choice(["de", "fr", "it"]),
            "gift": random_.random() < 0.4,
        },
    }


def snapshots(folder: Path) -> None:
    """The training data of versions 1 and 2."""
    for version in ("1", "2"):
        random_ = random.Random(version)
        with open(folder / f"train v{version}.csv", "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["amount", "items", "country", "gift", "score", "label"])
            for number in range(2000):
                event = order(random_, "", 0, drifted=False, newer=False)
                values = ["" if not isinstance(v, (int, float, str)) else v for v in event["features"].values()]
                values[0] = "" if values[0] == "many" else values[0]
                values[3] = str(event["features"]["gift"]).lower()
                rows.writerow([*values, event["score"] or 0.25, number % 2])


def shop(folder: Path, orders: int, files: int, policy: str = POLICY) -> tuple[Path, Path, Path]:
    """Everything in a folder: the policy's file, and the folders of predictions and labels."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "policy.yaml").write_text(policy)
    snapshots(folder)
    return (folder / "policy.yaml", *Shop(orders).write(folder, files))


def replayed(folder: Path, policy: Path, predictions: Path, labels: Optional[Path]) -> tuple[bytes, bytes]:
    """The verdicts and signals that the command line writes."""
    outs = [folder / "verdicts.jsonl", folder / "signals.jsonl"]
    arguments = ["replay", "--policy", policy, "--predictions", predictions]
    arguments += ["--verdicts", outs[0], "--signals", outs[1]]
    arguments += [] if labels is None else ["--labels", labels]
    subprocess.run([driftgate.binary(), *arguments], check=True, capture_output=True)
    return outs[0].read_bytes(), outs[1].read_bytes()
