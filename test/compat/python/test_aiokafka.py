"""aiokafka: a client on asyncio."""
import asyncio

import aiokafka
import pytest

from conftest import CODECS


@pytest.mark.parametrize("codec", CODECS)
def test_round_trip(codec, bootstrap, topic):
    name, values = topic(), [b"v%d" % i for i in range(200)]

    async def round_trip():
        compression = None if codec == "none" else codec
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=bootstrap, compression_type=compression, enable_idempotence=True
        )
        await producer.start()
        for value in values:
            await producer.send(name, value, key=b"k", headers=[("h", b"x")])
        await producer.flush()
        await producer.stop()
        consumer = aiokafka.AIOKafkaConsumer(name, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        messages = [await asyncio.wait_for(consumer.getone(), 20) for _ in values]
        await consumer.stop()
        return messages

    messages = asyncio.run(round_trip())
    assert [message.value for message in messages] == values
    assert messages[0].headers == (("h", b"x"),)


def test_group_commits(bootstrap, fresh, topic):
    name, group = topic(2), fresh("group")

    async def commit():
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap)
        await producer.start()
        for i in range(60):
            await producer.send_and_wait(name, b"%d" % i, partition=i % 2)
        await producer.stop()
        consumer = aiokafka.AIOKafkaConsumer(
            name,
            bootstrap_servers=bootstrap,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        await consumer.start()
        for _ in range(60):
            await asyncio.wait_for(consumer.getone(), 20)
        await consumer.commit()
        committed = sorted([await consumer.committed(partition) for partition in consumer.assignment()])
        await consumer.stop()
        return committed

    assert asyncio.run(commit()) == [30, 30]
