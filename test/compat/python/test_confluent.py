"""confluent-kafka: librdkafka under Python."""
import time

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import ConfigResource, NewPartitions, NewTopic, OffsetSpec

from conftest import CODECS


@pytest.fixture
def produce(bootstrap):
    def send(topic, records, **config):
        """Each record is the keyword arguments of one produce call."""
        errors = []
        producer = Producer({"bootstrap.servers": bootstrap, **config})
        for record in records:
            producer.produce(topic, on_delivery=lambda error, _: errors.append(error) if error else None, **record)
        assert producer.flush(20) == 0
        assert not errors

    return send


@pytest.fixture
def consumer(bootstrap, fresh):
    opened = []

    def open_(topic, group=None, **more):
        config = {"bootstrap.servers": bootstrap, "group.id": group or fresh("group"), **more}
        opened.append(Consumer({**config, "auto.offset.reset": "earliest", "enable.auto.commit": False}))
        opened[-1].subscribe([topic])
        return opened[-1]

    yield open_
    for each in opened:
        each.close()


def read(consumer, count):
    messages, deadline = [], time.monotonic() + 30
    while len(messages) < count and time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is not None and not message.error():
            messages.append(message)
    return messages


@pytest.mark.parametrize("codec", CODECS)
def test_round_trip(codec, topic, produce, consumer):
    name = topic()
    records = [{"value": b"v%d" % i * 20, "key": b"k%d" % i, "headers": [("h", b"x")]} for i in range(500)]
    produce(name, records, **{"compression.type": codec, "enable.idempotence": True})
    messages = read(consumer(name), 500)
    assert [(each.key(), each.value()) for each in messages] == [(each["key"], each["value"]) for each in records]
    assert messages[0].headers() == [("h", b"x")]


def test_group_commits(admin, fresh, topic, produce, consumer):
    name, group = topic(4), fresh("group")
    produce(name, [{"value": b"%d" % i, "partition": i % 4} for i in range(400)])
    member = consumer(name, group)
    assert len({each.value() for each in read(member, 400)}) == 400
    member.commit(asynchronous=False)
    committed = member.committed([TopicPartition(name, i) for i in range(4)], 20)
    assert [each.offset for each in committed] == [100] * 4
    assert admin.describe_consumer_groups([group])[group].result(20).group_id == group


def test_two_members_share_partitions(fresh, topic, consumer):
    name, group = topic(4), fresh("group")
    members = [consumer(name, group) for _ in range(2)]
    deadline = time.monotonic() + 40
    shares = []
    while shares != [2, 2] and time.monotonic() < deadline:
        for member in members:
            member.poll(0.2)
        shares = [len(member.assignment()) for member in members]
    assert shares == [2, 2]


def settle(members, shares):
    """Polls until the members have so many partitions each, in whatever order."""
    deadline, have = time.monotonic() + 60, []
    while have != sorted(shares) and time.monotonic() < deadline:
        for member in members:
            member.poll(0.1)
        have = sorted(len(member.assignment()) for member in members)
    assert have == sorted(shares)


NEW = {"group.protocol": "consumer"}
OLD = {"group.protocol": "classic", "partition.assignment.strategy": "range", "heartbeat.interval.ms": 1000}


def group_type(admin, group):
    listed = admin.list_consumer_groups().result(20).valid
    return next(each.type.name for each in listed if each.group_id == group)


def test_consumer_protocol_shares_commits_and_describes(admin, fresh, topic, produce, consumer):
    name, group = topic(4), fresh("group")
    produce(name, [{"value": b"%d" % i, "partition": i % 4} for i in range(40)])
    first = consumer(name, group, **NEW)
    assert len(read(first, 40)) == 40
    second = consumer(f"^{name[:-1]}.$", group, **NEW)
    settle([first, second], [2, 2])
    mine = first.assignment()
    first.commit(offsets=[TopicPartition(name, each.partition, 7) for each in mine], asynchronous=False)
    assert [each.offset for each in second.committed(mine, 20)] == [7, 7]
    described = admin.describe_consumer_groups([group])[group].result(20)
    assert sorted(len(each.assignment.topic_partitions) for each in described.members) == [2, 2]
    assert described.type.name == group_type(admin, group) == "CONSUMER"
    second.close()
    settle([first], [4])


def test_consumer_protocol_static_member_keeps_its_partitions(fresh, topic, consumer):
    name, group = topic(4), fresh("group")
    other, fixed = consumer(name, group, **NEW), consumer(name, group, **NEW, **{"group.instance.id": "one"})
    settle([other, fixed], [2, 2])
    had = [each.partition for each in fixed.assignment()]
    fixed.close()
    again = consumer(name, group, **NEW, **{"group.instance.id": "one"})
    settle([other, again], [2, 2])
    assert [each.partition for each in again.assignment()] == had


def test_consumer_protocol_wrong_regex_is_refused(topic, consumer):
    # What librdkafka takes for an expression, and RE2 does not.
    refused = consumer(f"^{topic()}(a)\\1", **NEW)
    deadline, error = time.monotonic() + 20, None
    while error is None and time.monotonic() < deadline:
        message = refused.poll(0.5)
        error = message.error() if message is not None else None
    assert error is not None


def test_groups_migrate_to_the_consumer_protocol_and_back(admin, fresh, topic, consumer):
    name, group = topic(6), fresh("group")
    old = [consumer(name, group, **OLD) for _ in range(2)]
    settle(old, [3, 3])
    new = consumer(name, group, **NEW)
    settle([*old, new], [2, 2, 2])
    assert group_type(admin, group) == "CONSUMER"
    mine = old[0].assignment()
    old[0].commit(offsets=[TopicPartition(name, each.partition, 3) for each in mine], asynchronous=False)
    new.close()
    settle(old, [3, 3])
    assert group_type(admin, group) == "CLASSIC"
    assert [each.offset for each in old[0].committed(mine, 20)] == [3, 3]


def test_topics_and_configs(admin, topic):
    name = topic(1, **{"retention.ms": "60000"})
    for widened in admin.create_partitions([NewPartitions(name, 3)]).values():
        widened.result(20)
    deadline = time.monotonic() + 10
    while len(admin.list_topics(name, 10).topics[name].partitions) != 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(admin.list_topics(name, 10).topics[name].partitions) == 3
    resource = ConfigResource(ConfigResource.Type.TOPIC, name)
    assert admin.describe_configs([resource])[resource].result(20)["retention.ms"].value == "60000"
    with pytest.raises(KafkaException):
        admin.create_topics([NewTopic(name, 1, 1)])[name].result(20)
    assert admin.describe_cluster().result(20).cluster_id
    admin.delete_topics([name])[name].result(20)


def test_delete_records_and_list_offsets(admin, topic, produce):
    name = topic()
    produce(name, [{"value": b"%d" % i} for i in range(10)])
    for deleted in admin.delete_records([TopicPartition(name, 0, 4)]).values():
        assert deleted.result(20).low_watermark == 4

    def offset(spec):
        (listed,) = admin.list_offsets({TopicPartition(name, 0): spec}).values()
        return listed.result(20).offset

    assert (offset(OffsetSpec.earliest()), offset(OffsetSpec.latest())) == (4, 10)


def test_offsets_for_times(topic, produce, consumer):
    name, base = topic(), int(time.time() * 1000) - 10_000
    produce(name, [{"value": b"%d" % i, "timestamp": base + i * 1000} for i in range(10)])
    reader = consumer(name)
    assert reader.offsets_for_times([TopicPartition(name, 0, base + 4500)], 20)[0].offset == 5
    assert reader.get_watermark_offsets(TopicPartition(name, 0), 20) == (0, 10)


def test_group_offsets_of_an_administrator(admin, fresh, topic):
    name, group = topic(), fresh("group")
    wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(name, 0, 7)])
    for altered in admin.alter_consumer_group_offsets([wanted]).values():
        altered.result(20)
    for listed in admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values():
        assert listed.result(20).topic_partitions[0].offset == 7
    admin.delete_consumer_groups([group])[group].result(20)
