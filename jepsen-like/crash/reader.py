"""Reads a topic from its beginning to its end with a fresh consumer.

reader.py BOOTSTRAP TOPIC READ_FILE

Each record read is 16 bytes in the file: partition, number (4 bytes each), offset (8 bytes), as producer.py numbers them.
A topic that does not exist is an empty file.
"""
import struct
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

bootstrap, topic, path = sys.argv[1:]
entry = struct.Struct(">IIQ")
number = struct.Struct(">I")
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "enable.partition.eof": True, "log_level": 2})

found = consumer.list_topics(timeout=30).topics.get(topic)
open_partitions = set(found.partitions) if found else set()
consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in open_partitions])
with open(path, "wb") as read:
    heard = time.monotonic()
    while open_partitions:
        messages = consumer.consume(10_000, timeout=0.2)
        if messages:
            heard = time.monotonic()
        elif time.monotonic() - heard > 30:
            sys.exit(f"nothing for 30 s; not read to their end: {sorted(open_partitions)}")
        for message in messages:
            error = message.error()
            if error is None:
                read.write(entry.pack(message.partition(), number.unpack_from(message.value())[0], message.offset()))
            elif error.code() == KafkaError._PARTITION_EOF:
                open_partitions.discard(message.partition())
            else:
                sys.exit(str(error))
consumer.close()
