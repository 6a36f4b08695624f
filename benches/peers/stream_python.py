"""The streaming monitor that a user would write today: confluent-kafka in batches, orjson, numpy windows of 10,000 events
with PSI on reference deciles.

python stream_python.py BOOTSTRAP TOPIC EVENTS DATA_DIR [orjson|none] [librdkafka k=v ...]

With `none` the messages are dropped: the bare rate of this client. Prints one JSON object; its seconds run from the first
batch of messages to the last one, so imports and the reference are not in them.
"""

import json
import os
import sys
import time

import numpy as np
import orjson
import pyarrow.parquet as pq
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

bs, topic, n, d = sys.argv[1:5]
n = int(n)
mode = sys.argv[5] if len(sys.argv) > 5 else "orjson"
NUM = [f"n{i:02d}" for i in range(20)]
CAT = ["c0", "c1", "c2", "c3"]
W = 10_000

# The reference: decile edges and shares of each numeric column.
ref = pq.read_table(f"{d}/train_v1.parquet")
cols = [ref[c].to_numpy() for c in NUM]
E = [np.concatenate([[-np.inf], np.unique(np.quantile(x, np.linspace(0, 1, 11)))[1:-1], [np.inf]]) for x in cols]
H = [np.maximum(np.histogram(x, e)[0] / len(x), 1e-4) for x, e in zip(cols, E)]

c = Consumer(
    {
        "bootstrap.servers": bs,
        "group.id": "peer",
        "enable.auto.commit": False,
        "fetch.queue.backoff.ms": 5,
        **dict(kv.split("=") for kv in sys.argv[6:]),
    }
)
parts = c.list_topics(topic, 10).topics[topic].partitions
c.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in parts])

buf = np.empty((W, 20))
cats = [dict() for _ in CAT]
w = m = verdicts = 0
t0 = None
last = time.perf_counter()
while m < n and time.perf_counter() - last < 15:
    msgs = c.consume(500, 0.5)
    if not msgs:
        continue
    t0 = t0 or time.perf_counter()
    for msg in msgs:
        if msg.error():
            continue
        m += 1
        if mode == "none":
            msg.value()
            continue
        f = orjson.loads(msg.value())["features"]
        buf[w] = [f[k] for k in NUM]
        for k, s in zip(CAT, cats):
            s[f[k]] = s.get(f[k], 0) + 1
        w += 1
        if w == W:
            for i in range(20):
                a = np.maximum(np.histogram(buf[:, i], E[i])[0] / W, 1e-4)
                verdicts += float(((a - H[i]) * np.log(a / H[i])).sum()) > 0.2
            w = 0
    last = time.perf_counter()

seconds = last - t0
result = {
    "mode": mode,
    "events": m,
    "seconds": round(seconds, 3),
    "events_per_s": round(m / seconds),
    "cpu_s": round(time.process_time(), 2),
}
print(json.dumps(result), flush=True)
os._exit(0)
