"""Produces numbered records and keeps a record of what was acknowledged.

producer.py BOOTSTRAP TOPIC PARTITIONS COUNT ACKNOWLEDGED_FILE

Record i goes to partition i % PARTITIONS; its value begins with its number there (4 bytes, big endian) and is 100 bytes
long. Each acknowledgement is 16 bytes in the file: partition, number (4 bytes each), offset (8 bytes). The count of
acknowledgements is printed as it grows. SIGTERM ends it without waiting for what is under way.
"""
import os
import signal
import struct
import sys
import threading

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

bootstrap, topic, partitions, count, path = sys.argv[1:]
partitions, count = int(partitions), int(count)

entry = struct.Struct(">IIQ")
number = struct.Struct(">I")
padding = bytes(96)
stopped = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stopped.set())
acknowledged, refused = 0, []
record = open(path, "wb")


def on_delivery(error, message):
    global acknowledged
    if error is not None:
        refused.append(str(error))
        return
    record.write(entry.pack(message.partition(), number.unpack_from(message.value())[0], message.offset()))
    acknowledged += 1
    if acknowledged % 1000 == 0:
        print(acknowledged, flush=True)


admin = AdminClient({"bootstrap.servers": bootstrap})
admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(30)
del admin  # or it would complain about every kill
producer = Producer(
    {
        "bootstrap.servers": bootstrap,
        "acks": "all",
        "enable.idempotence": True,
        "linger.ms": 5,
        "queue.buffering.max.messages": 20_000,
        # Longer than the whole test: no record is given up because its broker was down.
        "message.timeout.ms": 900_000,
        "reconnect.backoff.ms": 20,
        "reconnect.backoff.max.ms": 100,
        "on_delivery": on_delivery,
        "log_level": 2,
    }
)
for i in range(count):
    value = number.pack(i // partitions) + padding
    while not stopped.is_set():
        try:
            producer.produce(topic, value, partition=i % partitions)
            break
        except BufferError:
            producer.poll(0.1)
    if stopped.is_set() or refused:
        break
    if i % 100 == 0:
        producer.poll(0)
while len(producer) > 0 and not stopped.is_set() and not refused:
    producer.poll(0.1)
record.close()
print(acknowledged, flush=True)
if stopped.is_set():
    os._exit(0)  # the client's own end would wait for its broker
if refused:
    sys.exit(f"{len(refused)} records were refused, the first with: {refused[0]}")
