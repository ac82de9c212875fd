"""One Python client as producer or consumer of the codec matrix.

codec_peer.py CLIENT produce BOOTSTRAP TOPIC CODEC < values, one a line
codec_peer.py CLIENT consume BOOTSTRAP TOPIC COUNT > values, one a line
"""
import asyncio
import itertools
import sys
import uuid


class Confluent:
    def produce(self, bootstrap, topic, codec, values):
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec, "linger.ms": 50})
        for value in values:
            producer.produce(topic, value)
        assert producer.flush(20) == 0

    def consume(self, bootstrap, topic, count):
        from confluent_kafka import Consumer

        group = str(uuid.uuid4())
        consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest"})
        consumer.subscribe([topic])
        values = []
        while len(values) < count:
            message = consumer.poll(20)
            if message is None:
                break
            if message.error() is None:
                values.append(message.value())
        consumer.close()
        return values


class KafkaPython:
    def produce(self, bootstrap, topic, codec, values):
        import kafka

        compression = None if codec == "none" else codec
        producer = kafka.KafkaProducer(bootstrap_servers=bootstrap, compression_type=compression, linger_ms=50)
        for sent in [producer.send(topic, value) for value in values]:
            sent.get(20)
        producer.close()

    def consume(self, bootstrap, topic, count):
        import kafka

        consumer = kafka.KafkaConsumer(
            topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=20_000
        )
        values = [message.value for message in itertools.islice(consumer, count)]
        consumer.close()
        return values


class Aiokafka:
    def produce(self, bootstrap, topic, codec, values):
        async def produce():
            import aiokafka

            compression = None if codec == "none" else codec
            producer = aiokafka.AIOKafkaProducer(
                bootstrap_servers=bootstrap, compression_type=compression, linger_ms=50
            )
            await producer.start()
            await asyncio.gather(*[await producer.send(topic, value) for value in values])
            await producer.stop()

        asyncio.run(produce())

    def consume(self, bootstrap, topic, count):
        async def consume():
            import aiokafka

            consumer = aiokafka.AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
            await consumer.start()
            values = [(await asyncio.wait_for(consumer.getone(), 20)).value for _ in range(count)]
            await consumer.stop()
            return values

        return asyncio.run(consume())


def main(client, role, bootstrap, topic, last):
    peer = {"confluent-kafka": Confluent, "kafka-python": KafkaPython, "aiokafka": Aiokafka}[client]()
    if role == "produce":
        peer.produce(bootstrap, topic, last, sys.stdin.buffer.read().splitlines())
    else:
        sys.stdout.buffer.write(b"".join(value + b"\n" for value in peer.consume(bootstrap, topic, int(last))))


main(*sys.argv[1:])
