"""Makes the events and snapshots beside this file: python3 make.py. The state was written by driftgate 0.1 (checkpoint format 4, registry format 2)
that was stopped after reading first-*.jsonl, as README.md says."""
import json, random

R = random.Random(20261127)
START = 1_700_000_000_000 // 3_600_000 * 3_600_000
HOURS, STOP, MINUTE = 12, 7.4, 60_000


def snapshot(name, shift):
    with open(name, "w") as f:
        f.write("x,c,u,v,score,label\n")
        for i in range(300):
            s = R.randrange(100)
            f.write(f"{R.randrange(1000) / 10 + shift},{R.choice('abc')},{R.choice('pq')},{R.choice('rs')},{s / 100},{int(R.randrange(100) < s)}\n")


snapshot("m_v1.csv", 0); snapshot("m_v2.csv", 0); snapshot("m_v3.csv", 1)
predictions, labels, measurements = [], [], []
for i in range(HOURS * 30):
    ts = START + 2 * i * MINUTE + R.randrange(MINUTE)
    hour = i / 30
    version = R.choice("123" if hour > 8 else "12")
    s = R.randrange(100)
    x = R.randrange(1000) / 10 + (60 if version == "2" and 3 < hour < 6 else 0)
    p = {"prediction_id": f"m{i}", "model": "m", "version": version, "ts": ts, "score": s / 100, "latency_ms": R.randrange(5, 90),
         "features": {"x": x, "c": R.choice("abcd" if hour > 5 else "abc"), "u": R.choice("pq"), "v": R.choice("rs")}}
    if version == "1": p["stage"] = "prod"
    if R.randrange(40) == 0: del p["features"]["x"]
    if R.randrange(50) == 0: p["error"] = True
    predictions.append(p)
    if R.randrange(10) < 9:
        # Labels of the first predictions after the stop come before it.
        delay = -4 if 0 < hour - STOP < 0.1 else R.randrange(-3, 80)
        l = {"prediction_id": p["prediction_id"], "model": "m", "ts": ts + delay * MINUTE, "label": int(R.randrange(100) < s)}
        if R.randrange(2): l["kpi"] = {"ctr": R.randrange(2)}
        labels.append(l)
    if i % 5 == 0:
        predictions.append({"prediction_id": f"f{i}", "model": "f", "version": "1", "ts": ts, "score": s / 100, "features": {"x": x, "u": R.choice("pq")}})
        labels.append({"prediction_id": f"f{i}", "model": "f", "ts": ts + 5 * MINUTE, "label": R.randrange(2)})
        predictions.append({"model": "w", "version": "1", "ts": ts, "features": {"x": R.randrange(66000)}})
    if i % 15 == 0: measurements.append({"model": "m", "version": R.choice("12"), "ts": ts, "metric": "cost", "value": R.randrange(100) / 100, "n": 10})
for name, events in [("predictions", predictions), ("labels", labels), ("measurements", measurements)]:
    events.sort(key=lambda e: e["ts"])
    for part, of in [("first", lambda e: e["ts"] < START + STOP * 60 * MINUTE), ("rest", lambda e: e["ts"] >= START + STOP * 60 * MINUTE)]:
        with open(f"{part}-{name}.jsonl", "w") as f:
            f.writelines(json.dumps(e, separators=(",", ":")) + "\n" for e in events if of(e))
