"""The librdkafka twin of Producer.java: the same arguments, the same lines.

producer.py BOOTSTRAP TOPIC PARTITIONS INTERVAL_MS [name=value ...]
producer.py --fresh BOOTSTRAP TOPIC PARTITIONS

With --fresh: a client that has just come, ten times a second, until one of them has written to every partition; says when.
No client knows anything of another, and each has all defaults.
"""
import json
import os
import sys
import time

import confluent_kafka
from confluent_kafka import Producer

GAP_MS = 20
VALUE = b"a small record, as of an event"


def now():
    return time.time() * 1e3


def say(**fields):
    print(json.dumps(fields), flush=True)


def write_on(bootstrap, topic, partitions, interval_ms, *settings):
    partitions, interval_ms = int(partitions), float(interval_ms)
    config = dict(setting.split("=", 1) for setting in settings)
    version = confluent_kafka.libversion()[0]
    say(client=f"librdkafka {version}", settings=json.dumps({"acks": "all", **config}))
    last_acked_at = [now()] * partitions
    acknowledged = 0

    def on_delivery(error, message):
        nonlocal acknowledged
        partition = message.partition()
        if error is not None:
            say(error=error.name(), partition=partition)
            return
        at, since = now(), last_acked_at[partition]
        last_acked_at[partition] = at
        acknowledged += 1
        if at - since > GAP_MS:
            say(partition=partition, **{"from": since, "to": at})

    producer = Producer(
        {"bootstrap.servers": bootstrap, "acks": "all", "log_level": 0, "on_delivery": on_delivery, **config}
    )
    next_at = tell_at = now()
    while True:
        for partition in range(partitions):
            try:
                producer.produce(topic, VALUE, partition=partition)
            except BufferError:
                break  # full of what waits: more would not be more to measure
        if now() >= tell_at:
            say(at=now(), acknowledged=acknowledged, oldest=min(last_acked_at))
            tell_at = now() + 100
        next_at = max(next_at + interval_ms, now() - interval_ms)
        while True:
            left_ms = next_at - now()
            producer.poll(max(0, left_ms) / 1e3)
            if left_ms <= 0:
                break


class FreshClient:
    def __init__(self, bootstrap, topic, partitions):
        self.unwritten = set(range(partitions))
        self.producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "log_level": 0})
        for partition in range(partitions):
            self.producer.produce(topic, VALUE, partition=partition, on_delivery=self.delivered)

    def delivered(self, error, message):
        if error is None:
            self.unwritten.discard(message.partition())

    def has_written(self):
        self.producer.poll(0)
        return not self.unwritten


def write_once(bootstrap, topic, partitions):
    clients = []
    while True:
        # More than these would only take the processor from the others.
        if len(clients) < 100:
            clients.append(FreshClient(bootstrap, topic, int(partitions)))
        until = now() + 100
        while now() < until:
            if any(client.has_written() for client in clients):
                say(written=now())
                os._exit(0)  # the others would wait for what they never wrote
            time.sleep(0.005)


if sys.argv[1] == "--fresh":
    write_once(*sys.argv[2:])
else:
    write_on(*sys.argv[1:])
