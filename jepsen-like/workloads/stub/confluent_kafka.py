"""What the copier uses of confluent_kafka, without a broker. The first producer's offsets never come through; time goes a hundred times as
fast. With STUB_ENDLESS it says again and again that a thread is to end, as librdkafka does where that is its own fault."""
import os
import time

OFFSET_INVALID = -1001
monotonic = time.monotonic
time.monotonic = lambda: monotonic() * 100


class KafkaException(Exception):
    pass


class TopicPartition:
    def __init__(self, topic, partition, offset=OFFSET_INVALID):
        self.topic, self.partition, self.offset = topic, partition, offset


class Message:
    def __init__(self, topic):
        self.at = topic

    def error(self):
        return None

    def topic(self):
        return self.at

    def partition(self):
        return 0

    def offset(self):
        return 0

    def value(self):
        return b"7"


class Producer:
    count = 0

    def __init__(self, config):
        Producer.count += 1
        self.hangs, self.logger = Producer.count == 1, config["logger"]

    def init_transactions(self, timeout):
        pass

    def begin_transaction(self):
        pass

    def produce(self, topic, value, partition):
        pass

    def send_offsets_to_transaction(self, offsets, metadata, timeout):
        while self.hangs:
            time.sleep(1)

    def commit_transaction(self, timeout):
        pass

    def abort_transaction(self, timeout):
        pass

    def poll(self, timeout):
        for _ in range(5_000 if "STUB_ENDLESS" in os.environ else 5):
            self.logger.debug("TERMINATE [rdkafka#producer-1] 10.7.1.2:9092/2: Handle is terminating in state TRY_CONNECT")


class Consumer:
    def __init__(self, config):
        self.given = 0

    def committed(self, places, timeout):
        return places

    def assign(self, places):
        self.topic = places[0].topic

    def seek(self, place):
        self.given = 0

    def consume(self, count, timeout):
        if self.given == 1:
            time.sleep(0.01)
            return []
        self.given = 1
        return [Message(self.topic)]

    def consumer_group_metadata(self):
        return None

    def position(self, places):
        return [TopicPartition(places[0].topic, 0, self.given)]

    def get_watermark_offsets(self, place, timeout):
        return (0, 1)

    def close(self):
        pass
