"""Asks a model of MLServer on Kafka, some rows a request, and writes what it was asked and said as predictions in JSON.

usage: ask.py BROKERS REQUESTS RESPONSES HOW_MANY FIRST FILE
"""

import asyncio
import json
import random
import sys
from collections.abc import Iterator

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

ROWS = 2


def request(number: int) -> dict:
    rng = random.Random(number)
    tensor = {"datatype": "FP64", "shape": [ROWS, 1]}
    return {"inputs": [{"name": name, **tensor, "data": [rng.gauss(0, 1) for _ in range(ROWS)]} for name in ("x", "z")]}


def predictions(identifier: str, ts: int, asked: dict, said: dict) -> Iterator[dict]:
    outputs = {of["name"]: of["data"] for of in said["outputs"]}
    for row in range(ROWS):
        yield {
            "prediction_id": f"{identifier}/{row}",
            "ts": ts,
            "version": said["model_version"],
            "score": outputs["probability"][2 * row + 1],
            "decision": outputs["class"][row],
            "features": {of["name"]: of["data"][row] for of in asked["inputs"]},
        }


async def main(brokers: str, requests: str, responses: str, how_many: int, first: int, path: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=brokers)
    consumer = AIOKafkaConsumer(responses, bootstrap_servers=brokers, auto_offset_reset="earliest")
    await producer.start()
    await consumer.start()
    asked = {}
    for number in range(first, first + how_many):
        key, body = f"id-{number}", request(number)
        sent = await producer.send_and_wait(
            requests, key=key.encode(), value=json.dumps(body).encode(), headers=[("mlserver-model", b"shop")]
        )
        asked[key] = (sent.timestamp, body)
    lines = []
    while asked:
        answer = await asyncio.wait_for(consumer.getone(), timeout=60)
        key = answer.key.decode()
        if key not in asked:
            continue
        ts, body = asked.pop(key)
        lines += [json.dumps(event) for event in predictions(key, ts, body, json.loads(answer.value))]
    with open(path, "a", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in lines)
    await producer.stop()
    await consumer.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5]), sys.argv[6]))
