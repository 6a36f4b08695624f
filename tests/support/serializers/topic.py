"""Events of a topic, read and written again."""

from confluent_kafka import Consumer, TopicPartition


def read(brokers, topic, count):
    """The first messages of partition 0."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "write", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    messages = []
    while len(messages) < count:
        messages += [m for m in consumer.consume(min(1000, count - len(messages)), 30) if m.error() is None]
    consumer.close()
    return messages


def write(producer, topic, value, headers, like):
    """Writes a value to partition 0 at the time of the message it was made of, and waits while too many are under way."""
    while True:
        try:
            producer.produce(topic, value, partition=0, timestamp=like.timestamp()[1], headers=headers)
            break
        except BufferError:
            producer.poll(0.1)
    producer.poll(0)
