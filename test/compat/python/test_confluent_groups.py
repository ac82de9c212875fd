"""confluent-kafka: groups of both protocols, whose members come, go and come back."""
import time

import pytest
from confluent_kafka import Consumer, ConsumerGroupState, ConsumerGroupType, Producer, TopicPartition

PROTOCOLS = {
    "eager": {"group.protocol": "classic", "partition.assignment.strategy": "range", "session.timeout.ms": 6000},
    "cooperative": {
        "group.protocol": "classic",
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": 6000,
    },
    "kip848": {"group.protocol": "consumer"},
}
PARTITIONS = 4


@pytest.fixture(params=PROTOCOLS)
def protocol(request):
    return request.param


class Member:
    """Polled by `poll_until` only, as all members of a test are in turn."""

    def __init__(self, bootstrap, protocol, group, topic, **config):
        self.assigned, self.revoked, self.lost, self.values = [], [], [], []
        common = {"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest"}
        self.consumer = Consumer({**common, **PROTOCOLS[protocol], "enable.auto.commit": False, **config})
        self.consumer.subscribe(
            [topic],
            on_assign=lambda _, partitions: self.assigned.append(sorted(each.partition for each in partitions)),
            on_revoke=lambda _, partitions: self.revoked.append(sorted(each.partition for each in partitions)),
            on_lost=lambda _, partitions: self.lost.append(sorted(each.partition for each in partitions)),
        )
        self.is_open = True

    @property
    def changes(self):
        """Incremental rebalances tell of nothing too, when others are done with theirs."""
        return [each for each in self.assigned + self.revoked if each]

    @property
    def owned(self):
        return sorted(each.partition for each in self.consumer.assignment())

    def poll(self):
        message = self.consumer.poll(0.02)
        while message is not None:
            if message.error() is None:
                self.values.append(message.value())
            message = self.consumer.poll(0)

    def commit(self):
        self.consumer.commit(asynchronous=False)

    def close(self):
        if self.is_open:
            self.is_open = False
            self.consumer.close()


@pytest.fixture
def join(bootstrap, protocol):
    members = []

    def open_(group, topic, **config):
        members.append(Member(bootstrap, protocol, group, topic, **config))
        return members[-1]

    yield open_
    for member in members:
        member.close()


@pytest.fixture
def write(bootstrap):
    """Writes `count` values to each partition; gives them all."""
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})

    def send(topic, name, count):
        values = []
        for i in range(count * PARTITIONS):
            values.append(b"%s-%d" % (name, i))
            producer.produce(topic, values[-1], partition=i % PARTITIONS)
        assert producer.flush(20) == 0
        return values

    return send


def poll_until(condition, *members, timeout=40):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, [(each.owned, len(each.values), each.revoked) for each in members]
        for member in members:
            member.poll()


def have_two_each(one, two):
    return lambda: len(one.owned) == len(two.owned) == 2 and sorted(one.owned + two.owned) == [0, 1, 2, 3]


def test_members_come_and_go(protocol, fresh, topic, join, write):
    """Nobody sees a record that another one has committed, and only what moves is revoked unless the protocol is eager."""
    name, group = topic(PARTITIONS), fresh("group")
    written = write(name, b"a", 20)
    one = join(group, name)
    poll_until(lambda: len(one.values) == len(written), one)
    one.commit()
    two = join(group, name)
    poll_until(have_two_each(one, two), one, two)
    assert [len(each) for each in one.revoked] == [4 if protocol == "eager" else 2]
    more = write(name, b"b", 20)
    poll_until(lambda: len(one.values) + len(two.values) == len(written) + len(more), one, two)
    assert (len(one.values), len(two.values)) == (120, 40)
    one.commit()
    two.commit()
    one.close()
    poll_until(lambda: two.owned == [0, 1, 2, 3], two)
    rest = write(name, b"c", 20)
    poll_until(lambda: len(two.values) == 40 + len(rest), two)
    two.commit()
    assert sorted(one.values + two.values) == sorted(written + more + rest)
    committed = two.consumer.committed([TopicPartition(name, i) for i in range(PARTITIONS)], 20)
    assert [each.offset for each in committed] == [60] * PARTITIONS
    assert one.lost == two.lost == []


def test_static_member_comes_back(fresh, topic, join, write):
    """A static member that goes and comes back has its partitions again, and the other one has not noticed."""
    name, group = topic(PARTITIONS), fresh("group")
    one = join(group, name, **{"group.instance.id": "one"})
    poll_until(lambda: len(one.owned) == 4, one)
    two = join(group, name, **{"group.instance.id": "two"})
    poll_until(have_two_each(one, two), one, two)
    owned, changes = (one.owned, two.owned), one.changes
    two.close()
    written = write(name, b"a", 10)
    again = join(group, name, **{"group.instance.id": "two"})
    poll_until(lambda: len(one.values) + len(again.values) == len(written), one, again)
    assert (one.owned, again.owned) == owned
    assert one.changes == changes
    assert sorted(one.values + again.values) == sorted(written)


def test_partitions_that_are_added(admin, protocol, fresh, topic, join):
    """Partitions that are added to a topic are assigned without anybody asking for it."""
    from confluent_kafka.admin import NewPartitions

    name, group = topic(1), fresh("group")
    often = {"topic.metadata.refresh.interval.ms": 500}
    one = join(group, name, **often)
    two = join(group, name, **often)
    poll_until(lambda: sorted(one.owned + two.owned) == [0], one, two)
    for widened in admin.create_partitions([NewPartitions(name, PARTITIONS)]).values():
        widened.result(20)
    poll_until(have_two_each(one, two), one, two)


def test_administrator_sees_the_group(admin, protocol, fresh, topic, join):
    """Its type, state, members and what each has; it cannot be deleted while it has members, and can without."""
    name, group = topic(PARTITIONS), fresh("group")
    one, two = join(group, name), join(group, name)
    poll_until(have_two_each(one, two), one, two)
    wanted = ConsumerGroupType.CONSUMER if protocol == "kip848" else ConsumerGroupType.CLASSIC

    def described():
        return admin.describe_consumer_groups([group])[group].result(20)

    poll_until(lambda: described().state == ConsumerGroupState.STABLE, one, two)
    assert described().type == wanted
    assignments = [each.assignment.topic_partitions for each in described().members]
    assert sorted(each.partition for each in sum(assignments, [])) == [0, 1, 2, 3]
    listed = admin.list_consumer_groups(types={wanted}).result(20).valid
    assert [(each.state, each.type) for each in listed if each.group_id == group] == [(described().state, wanted)]
    with pytest.raises(Exception, match="NON_EMPTY_GROUP"):
        admin.delete_consumer_groups([group])[group].result(20)
    one.close()
    two.close()
    admin.delete_consumer_groups([group])[group].result(20)
    assert group not in [each.group_id for each in admin.list_consumer_groups().result(20).valid]
