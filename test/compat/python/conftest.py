"""What every client's tests share: the broker's address, fresh names, topics that are ready to use."""
import os
import time
import uuid

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


@pytest.fixture(scope="session")
def bootstrap():
    return os.environ["BOOTSTRAP"]


@pytest.fixture
def fresh():
    """Gives a name that nobody has used yet."""
    return lambda purpose: f"py-{purpose}-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def admin(bootstrap):
    return AdminClient({"bootstrap.servers": bootstrap})


@pytest.fixture
def topic(admin, fresh):
    """Creates a topic and waits until each of its partitions has a leader."""

    def create(partitions=1, **config):
        name = fresh("topic")
        for created in admin.create_topics([NewTopic(name, partitions, -1, config=config)]).values():
            created.result(20)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            found = admin.list_topics(name, 10).topics.get(name)
            if found and not found.error and len(found.partitions) == partitions:
                if all(partition.leader >= 0 for partition in found.partitions.values()):
                    return name
            time.sleep(0.05)
        raise TimeoutError(f"{name} is not ready")

    return create
