"""kafka-python: a client in pure Python."""
import itertools

import kafka
import pytest
from kafka.admin import KafkaAdminClient, NewTopic

from conftest import CODECS


@pytest.mark.parametrize("codec", CODECS)
def test_round_trip(codec, bootstrap, topic):
    name, values = topic(), [b"v%d" % i for i in range(300)]
    compression = None if codec == "none" else codec
    producer = kafka.KafkaProducer(bootstrap_servers=bootstrap, compression_type=compression, acks="all")
    sent = [producer.send(name, value, key=b"k", headers=[("h", b"x")]) for value in values]
    producer.flush(20)
    assert [each.get(20).offset for each in sent] == list(range(300))
    producer.close()
    consumer = kafka.KafkaConsumer(
        name, bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=8000
    )
    messages = list(itertools.islice(consumer, len(values)))
    consumer.close()
    assert [message.value for message in messages] == values
    assert list(messages[0].headers) == [("h", b"x")]


def test_group_goes_on_at_its_commit(bootstrap, fresh, topic):
    name, group = topic(2), fresh("group")
    producer = kafka.KafkaProducer(bootstrap_servers=bootstrap)
    for i in range(100):
        producer.send(name, b"%d" % i, partition=i % 2)
    producer.flush(20)
    producer.close()

    def read(timeout_ms):
        consumer = kafka.KafkaConsumer(
            name,
            bootstrap_servers=bootstrap,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            consumer_timeout_ms=timeout_ms,
        )
        values = [message.value for message in itertools.islice(consumer, 100)]
        consumer.commit()
        consumer.close()
        return values

    assert len(set(read(15_000))) == 100
    assert read(4_000) == []


def test_administrator(bootstrap, fresh):
    admin, name = KafkaAdminClient(bootstrap_servers=bootstrap), fresh("admin")
    admin.create_topics([NewTopic(name, 2, 1)])
    assert name in admin.list_topics()
    admin.list_groups()
    admin.delete_topics([name])
    admin.close()
