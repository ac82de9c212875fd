"""confluent-kafka: transactions, with the offsets of groups of both protocols, and zombies."""
import time

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

PROTOCOLS = {"classic": {"session.timeout.ms": 6000}, "consumer": {}}


@pytest.fixture
def transactional(bootstrap):
    def open_(transactional_id, **config):
        producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": transactional_id, **config})
        producer.init_transactions(30)
        return producer

    return open_


@pytest.fixture
def consumer(bootstrap, fresh):
    opened = []

    def open_(topic, group=None, protocol="classic", **config):
        group = {"group.id": group or fresh("group"), "group.protocol": protocol, **PROTOCOLS[protocol]}
        start = {"auto.offset.reset": "earliest", "enable.auto.commit": False}
        opened.append(Consumer({"bootstrap.servers": bootstrap, **group, **start, **config}))
        opened[-1].subscribe([topic])
        return opened[-1]

    yield open_
    for each in opened:
        each.close()


@pytest.fixture
def read(consumer, bootstrap):
    """All values that a fresh reader sees before the ends that are written here; of committed transactions unless told."""

    def all_(topic, partitions=1, **config):
        end = b"end %d" % time.monotonic_ns()
        producer = Producer({"bootstrap.servers": bootstrap})
        for partition in range(partitions):
            producer.produce(topic, end, partition=partition)
        assert producer.flush(20) == 0
        reader, values, deadline = consumer(topic, **config), [], time.monotonic() + 40
        while values.count(end) < partitions:
            assert time.monotonic() < deadline, values
            message = reader.poll(0.2)
            if message is not None and message.error() is None:
                values.append(message.value())
        return [value for value in values if not value.startswith(b"end")]

    return all_


def fill(bootstrap, topic, count):
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
    for i in range(count):
        producer.produce(topic, b"%d" % i, partition=0)
    assert producer.flush(20) == 0


def test_commit_and_abort(fresh, topic, transactional, read):
    name, producer = topic(3), transactional(fresh("tx"))
    for transaction, end in [(b"a", producer.commit_transaction), (b"b", producer.abort_transaction)] * 3:
        producer.begin_transaction()
        for i in range(60):
            producer.produce(name, b"%s%d" % (transaction, i), partition=i % 3)
        producer.flush(20)
        end(30)
    committed = [b"a%d" % i for i in range(60)] * 3
    aborted = [b"b%d" % i for i in range(60)] * 3
    assert sorted(read(name, 3)) == sorted(committed)
    assert sorted(read(name, 3, **{"isolation.level": "read_uncommitted"})) == sorted(committed + aborted)


def test_an_open_transaction_holds_back_readers_until_it_times_out(bootstrap, fresh, topic, transactional, read):
    name = topic()
    limits = {"transaction.timeout.ms": 2000, "message.timeout.ms": 2000}
    producer = transactional(fresh("tx"), **limits)
    producer.begin_transaction()
    producer.produce(name, b"abandoned", partition=0)
    producer.flush(20)
    assert read(name, **{"isolation.level": "read_uncommitted"}) == [b"abandoned"]
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": fresh("group")})
    partition = TopicPartition(name, 0)
    assert reader.get_watermark_offsets(partition, 20) == (0, 0)
    reader.close()
    assert read(name) == []
    with pytest.raises(KafkaException):
        producer.commit_transaction(20)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_consume_transform_produce(protocol, bootstrap, fresh, topic, transactional, consumer, read):
    """Every other transaction is aborted and made again from the committed offsets: the result has everything once."""
    source, sink, group = topic(), topic(), fresh("group")
    fill(bootstrap, source, 200)
    member, producer = consumer(source, group, protocol), transactional(fresh("tx"))
    attempts, done, deadline = 0, 0, time.monotonic() + 60
    while done < 200:
        assert time.monotonic() < deadline
        messages = [each for each in member.consume(25, 1) if each.error() is None]
        if not messages:
            continue
        attempts += 1
        producer.begin_transaction()
        for message in messages:
            producer.produce(sink, b"%s of %d" % (message.value(), attempts), partition=0)
        next_offset = TopicPartition(source, 0, messages[-1].offset() + 1)
        producer.send_offsets_to_transaction([next_offset], member.consumer_group_metadata(), 30)
        if attempts % 2 == 0:
            producer.commit_transaction(30)
            done = next_offset.offset
            continue
        producer.abort_transaction(30)
        (committed,) = member.committed([TopicPartition(source, 0)], 20)
        assert max(committed.offset, 0) == done
        member.seek(TopicPartition(source, 0, done))
    (committed,) = member.committed([TopicPartition(source, 0)], 20)
    assert committed.offset == 200
    assert [value.split()[0] for value in read(sink)] == [b"%d" % i for i in range(200)]


def test_zombie_producer_is_fenced(fresh, topic, transactional, read):
    name, transactional_id = topic(), fresh("tx")
    zombie = transactional(transactional_id)
    zombie.begin_transaction()
    zombie.produce(name, b"zombie", partition=0)
    zombie.flush(20)
    successor = transactional(transactional_id)
    with pytest.raises(KafkaException) as refused:
        zombie.commit_transaction(30)
    assert refused.value.args[0].code() in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED)
    assert refused.value.args[0].fatal()
    successor.begin_transaction()
    successor.produce(name, b"successor", partition=0)
    successor.commit_transaction(30)
    assert read(name) == [b"successor"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_offsets_of_a_zombie_member_are_refused(protocol, bootstrap, fresh, topic, transactional, consumer):
    """Who has left the group commits nothing for it, and its transaction can only be aborted."""
    source, group = topic(), fresh("group")
    fill(bootstrap, source, 10)
    zombie = consumer(source, group, protocol)
    assert zombie.consume(1, 30)
    stale = zombie.consumer_group_metadata()
    zombie.unsubscribe()
    successor, deadline = consumer(source, group, protocol), time.monotonic() + 30
    while not successor.assignment() and time.monotonic() < deadline:
        zombie.poll(0.1)
        successor.poll(0.1)
    assert successor.assignment()
    producer = transactional(fresh("tx"))
    producer.begin_transaction()
    with pytest.raises(KafkaException) as refused:
        producer.send_offsets_to_transaction([TopicPartition(source, 0, 7)], stale, 30)
    assert refused.value.args[0].txn_requires_abort()
    producer.abort_transaction(30)
    (committed,) = successor.committed([TopicPartition(source, 0)], 20)
    assert committed.offset < 0
