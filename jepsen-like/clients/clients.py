"""The librdkafka clients of main.ts; each says as lines of JSON on stdout what was acknowledged, seen or found.

clients.py write BOOTSTRAP TOPIC PARTITIONS RATE
    An idempotent producer, RATE records a second in all, until SIGTERM, then to the end of what is under way.
    {"acked": [value, ...]} several times a second; {"failed": why} for each record that it gave up.
clients.py group BOOTSTRAP TOPIC GROUP PROTOCOL MEMBERS
    Members of a group (classic or consumer), until SIGTERM, then with a last commit.
    {"seen": [[partition, first offset, last offset], ...]}: what was delivered since the last line, in the order of delivery.
clients.py read BOOTSTRAP TOPIC PARTITIONS ISOLATION
    The topic from its beginning to its end: {"partition": p, "values": [value, ...]} for each partition, in order.
"""
import json
import signal
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition

TELL_S = 0.2
stopping = False


def stop(*_):
    global stopping
    stopping = True


signal.signal(signal.SIGTERM, stop)


def say(**fields):
    print(json.dumps(fields), flush=True)


def write(bootstrap, topic, partitions, rate):
    partitions, rate, acked = int(partitions), float(rate), []

    def on_delivery(error, message):
        if error is None:
            acked.append(message.value().decode())
        else:
            say(failed=str(error))

    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "log_level": 0})
    began = told = time.monotonic()
    sent = 0
    while not stopping:
        now = time.monotonic()
        while sent < (now - began) * rate:
            try:
                producer.produce(topic, b"librdkafka.%d" % sent, partition=sent % partitions, on_delivery=on_delivery)
            except BufferError:
                break
            sent += 1
        producer.poll(0.01)
        if now - told > TELL_S:
            say(acked=acked[:])
            acked.clear()
            told = now
    left = producer.flush(60)
    say(acked=acked)
    if left > 0:
        say(failed=f"{left} records without an answer")


def extend(runs, partition, offset):
    """Lengthens the partition's last run, or begins another."""
    run = runs[-1] if runs else None
    if run is not None and run[0] == partition and run[2] + 1 == offset:
        run[2] = offset
    else:
        runs.append([partition, offset, offset])


def group(bootstrap, topic, name, protocol, members):
    common = {"bootstrap.servers": bootstrap, "group.id": name, "group.protocol": protocol, "log_level": 0}
    if protocol == "classic":
        common["session.timeout.ms"] = 10_000
    how = {"auto.offset.reset": "earliest", "enable.auto.commit": True, "auto.commit.interval.ms": 500}
    consumers = [Consumer({**common, **how}) for _ in range(int(members))]
    for consumer in consumers:
        consumer.subscribe([topic])
    runs, told = [], time.monotonic()
    while not stopping:
        for consumer in consumers:
            for message in consumer.consume(500, 0.02):
                if message.error() is None:
                    extend(runs, message.partition(), message.offset())
        if runs and time.monotonic() - told > TELL_S:
            say(seen=runs)
            runs, told = [], time.monotonic()
    say(seen=runs)
    for consumer in consumers:
        consumer.close()


def read(bootstrap, topic, partitions, isolation):
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "read",
            "isolation.level": isolation,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "log_level": 0,
        }
    )
    values = {partition: [] for partition in range(int(partitions))}
    unread = set(values)
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in unread])
    heard = time.monotonic()
    while unread:
        messages = consumer.consume(10_000, 0.2)
        if messages:
            heard = time.monotonic()
        elif time.monotonic() - heard > 30:
            sys.exit(f"nothing for 30 s; not read to their end: {sorted(unread)}")
        for message in messages:
            error = message.error()
            if error is None:
                values[message.partition()].append(message.value().decode())
            elif error.code() == KafkaError._PARTITION_EOF:
                unread.discard(message.partition())
            else:
                raise KafkaException(error)
    for partition, found in values.items():
        say(partition=partition, values=found)
    consumer.close()


{"write": write, "group": group, "read": read}[sys.argv[1]](*sys.argv[2:])
