"""The librdkafka clients of the workloads. Each writes its history (docs/history.md) to standard output, by the machine's monotonic clock,
and what breaks a promise to standard error. SIGTERM ends it, with a last commit.

clients.py copy   BOOTSTRAP FROM TO PARTITIONS GROUP FIRST_PROCESS SEED
    A transactional producer and consumer that copies one topic to the other exactly once; one transaction in ten is aborted.
clients.py member BOOTSTRAP TOPIC PARTITIONS GROUP PROTOCOL FIRST_PROCESS SEED
    Members of a group (classic or consumer) which commit what they have polled, come and go.
clients.py write  BOOTSTRAP TOPIC PARTITIONS FIRST_PROCESS SEED
    An idempotent producer, with many records under way.
"""
import json
import logging
import os
import queue
import random
import signal
import struct
import sys
import threading
import time

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException, Producer, TopicPartition

GIVE_UP_S = 60
RATE = 100
# What librdkafka logs, a producer that was fenced for one, breaks no promise: what came of an operation is in the history.
SILENT = logging.getLogger("librdkafka")
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False
# No process comes to so many values.
VALUES_MAX = 1_000_000
# Beyond it a transaction's producer is given up.
STANDS_STILL_S = 30
# Where its group's coordinator leaves the metadata, librdkafka may wait for good, whatever limit the call was given, for the thread of a broker
# that is to end and says so again and again, a thousand times a second (confluentinc/librdkafka#5511). Else it says so a few times.
ENDLESS = "Handle is terminating"
ENDLESS_MIN = 1_000
stopping = False


def stop(*_):
    global stopping
    stopping = True


signal.signal(signal.SIGTERM, stop)


def go_with_parent():
    """Standard input ends when whoever started this is gone."""
    sys.stdin.read()
    os._exit(1)


threading.Thread(target=go_with_parent, daemon=True).start()


def tell(**line):
    """A line has reached the kernel when this returns."""
    os.write(1, (json.dumps({"t": time.monotonic() * 1000, **line}, separators=(",", ":")) + "\n").encode())


def complain(what):
    print(what, file=sys.stderr, flush=True)


def key(partition):
    return f"{partition.topic}-{partition.partition}"


def polled(messages):
    """What was delivered, as a history has it; and the next offset of each partition."""
    records, ends = {}, {}
    for message in messages:
        where = f"{message.topic()}-{message.partition()}"
        records.setdefault(where, []).extend([message.offset(), int(message.value())])
        ends[(message.topic(), message.partition())] = message.offset() + 1
    return records, ends


def generation_of(consumer):
    """librdkafka writes its group metadata as `CGMDv2:`, the generation, and names; it tells the generation in no other way."""
    return struct.unpack_from("<i", consumer.consumer_group_metadata(), len("CGMDv2:"))[0]


class Member:
    """A consumer in a group, as one process of the history after the other: whose commit has no known outcome ends."""

    # Of all members.
    records = 0

    def __init__(self, bootstrap, topic, group, protocol, first_process, step):
        self.topic, self.group, self.protocol = topic, group, protocol
        self.process, self.step = first_process, step
        self.owned = set()
        config = {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "group.protocol": protocol,
            "isolation.level": "read_committed",
            "check.crcs": True,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "logger": SILENT,
        }
        if protocol == "classic":
            config |= {"session.timeout.ms": 10_000, "partition.assignment.strategy": "cooperative-sticky"}
        self.consumer = Consumer(config)
        self.declare()
        tell(type="invoke", p=self.process, f="subscribe", ops=[["subscribe", topic]])
        self.consumer.subscribe([topic], on_assign=self.assigned, on_revoke=self.revoked, on_lost=self.revoked)
        tell(type="ok", p=self.process)
        # One for each: a commit waits behind a join, which waits for the others to poll.
        self.is_leaving = False
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        while not self.is_leaving:
            self.commit(self.poll())
        self.consumer.close()

    def leave(self):
        self.is_leaving = True

    def declare(self, **more):
        how = {"isolation": "read_committed", "group": self.group, "protocol": self.protocol, "reset": "earliest"}
        tell(type="client", p=self.process, **how, **more)

    # Assigning is left to the library: while a consumer is being closed it would refuse to be told, and an exception would keep it from its
    # end.
    def assigned(self, consumer, partitions):
        tell(type="rebalance", p=self.process, generation=generation_of(consumer), assigned={key(one): None for one in partitions})
        self.owned |= {(one.topic, one.partition) for one in partitions}

    def revoked(self, consumer, partitions):
        generation = max(generation_of(consumer), 0)
        tell(type="rebalance", p=self.process, generation=generation, revoked=[key(one) for one in partitions])
        self.owned -= {(one.topic, one.partition) for one in partitions}

    def poll(self):
        """The rebalances that a poll brings are told within it."""
        tell(type="invoke", p=self.process, f="poll", ops=[["poll"]])
        messages = [one for one in self.consumer.consume(500, 0.1) if one.error() is None]
        records, ends = polled(messages)
        Member.records += len(messages)
        tell(type="ok", p=self.process, ops=[["poll", records]])
        return {place: end for place, end in ends.items() if place in self.owned}

    def commit(self, ends):
        if not ends:
            return
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in ends.items()]
        ops = [["commit", key(one), one.offset] for one in offsets]
        # A classic member's generation may be raised between this line and the request; an epoch is raised only after what it takes away.
        epoch = {"generation": generation_of(self.consumer)} if self.protocol == "consumer" else {}
        tell(type="invoke", p=self.process, f="commit", ops=ops, **epoch)
        try:
            failed = [one.error for one in self.consumer.commit(offsets=offsets, asynchronous=False) if one.error]
            error = str(failed[0]) if failed else None
        except KafkaException as failure:
            error = str(failure)
        if error is None:
            tell(type="ok", p=self.process)
            return
        # It may have been carried out all the same.
        tell(type="info", p=self.process, error=error)
        before, self.process = self.process, self.process + self.step
        self.declare(after=before)


def member(bootstrap, topic, partitions, group, protocol, first_process, seed):
    chance, members, count, step = random.Random(seed), [], 0, 100
    stopped_at = None
    while True:
        if stopping:
            stopped_at = stopped_at or time.monotonic()
            # A group that a fault has kept from its first rebalance is to come to one: without it nothing was tried.
            if Member.records > 0 or time.monotonic() - stopped_at > GIVE_UP_S:
                break
        if len(members) < 2 or (len(members) < 3 and chance.random() < 0.02):
            members.append(Member(bootstrap, topic, group, protocol, int(first_process) + count, step))
            count += 1
        elif len(members) == 3 and chance.random() < 0.05:
            members.pop(chance.randrange(3)).leave()
        time.sleep(0.1)
    for one in members:
        one.leave()
    for one in members:
        one.thread.join()
    if Member.records == 0:
        complain(f"no member of group {group} was given a record")
    ask_committed(bootstrap, topic, int(partitions), group, int(first_process) + step - 1)


def ask_committed(bootstrap, topic, partitions, group, process):
    """What the group has committed in the end, as a fresh client is told."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "logger": SILENT})
    places = [TopicPartition(topic, partition) for partition in range(partitions)]
    tell(type="client", p=process, isolation="read_committed", group=group)
    began = time.monotonic()
    while time.monotonic() - began < GIVE_UP_S:
        tell(type="invoke", p=process, f="committed", ops=[["committed", key(place)] for place in places])
        try:
            found = consumer.committed(places, GIVE_UP_S / 5)
        except KafkaException as failure:
            # Its coordinator may just be moving back.
            tell(type="fail", p=process, error=str(failure))
            time.sleep(0.5)
            continue
        offsets = [[key(one), None if one.offset == OFFSET_INVALID else one.offset] for one in found]
        tell(type="ok", p=process, ops=[["committed", *one] for one in offsets])
        break
    else:
        complain(f"nobody tells what group {group} has committed")
    consumer.close()


def copy(bootstrap, source, sink, partitions, group, first_process, seed):
    chance, process = random.Random(seed), int(first_process)
    tell(type="copy", **{"from": source}, to=sink, group=group)
    while not Copier(bootstrap, source, sink, int(partitions), group, process, chance).has_ended():
        process += 1
    # Whoever was given up is not waited for.
    os._exit(0)


class Endless(logging.Handler):
    """Counts what a client says that waits for good by its own fault; of nothing else anybody is told."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def emit(self, record):
        self.count += ENDLESS in record.getMessage()

    def logger(self):
        logger = logging.Logger("copy", logging.DEBUG)
        logger.addHandler(self)
        return logger


class Copier:
    """Copies as one process, in a thread of its own: a call that does not return keeps nobody else."""

    # To be rid of a producer may take as long as its calls do.
    all = []

    def __init__(self, bootstrap, source, sink, partitions, group, process, chance):
        self.source, self.sink, self.partitions, self.group = source, sink, partitions, group
        self.bootstrap, self.process, self.chance = bootstrap, process, chance
        self.endless, self.producer = Endless(), None
        self.lock = threading.Lock()
        # Under the lock: the operations of the transaction that is under way, and since when; whether it may tell anything more.
        self.transaction, self.since, self.is_given_up = None, None, False
        self.outcome = queue.SimpleQueue()
        Copier.all.append(self)
        threading.Thread(target=self.work, daemon=True).start()

    def has_ended(self):
        """True when it was told to stop and has come to the end, false if an outcome is not known."""
        while True:
            try:
                outcome = self.outcome.get(timeout=0.1)
            except queue.Empty:
                if self.give_up():
                    return False
                continue
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

    def give_up(self):
        with self.lock:
            if self.transaction is None or time.monotonic() - self.since < STANDS_STILL_S:
                return False
            self.is_given_up = True
            tell(type="info", p=self.process, ops=self.transaction, error="the call does not return")
        # What it had to say comes with a poll.
        self.producer.poll(0)
        if self.endless.count < ENDLESS_MIN:
            complain(f"process {self.process} stands still in a transaction")
        return True

    def work(self):
        try:
            self.outcome.put(self.copy())
        except BaseException as failure:
            self.outcome.put(failure)

    def begin(self, ops):
        """False if somebody else has taken its place meanwhile."""
        with self.lock:
            if self.is_given_up:
                return False
            self.transaction, self.since = ops, time.monotonic()
            tell(type="invoke", p=self.process, f="txn", ops=ops)
            return True

    def end(self, kind, **more):
        with self.lock:
            if not self.is_given_up:
                tell(type=kind, p=self.process, ops=self.transaction, **more)
            self.transaction = None

    def copy(self):
        # One transactional id: whoever comes later fences who was before.
        how = {"transactional.id": self.group, "transaction.timeout.ms": 10_000}
        producer = Producer({"bootstrap.servers": self.bootstrap, **how, "debug": "broker", "logger": self.endless.logger()})
        self.producer = producer
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": self.group,
                "isolation.level": "read_committed",
                "check.crcs": True,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "logger": SILENT,
            }
        )
        while True:
            try:
                producer.init_transactions(GIVE_UP_S)
                break
            except KafkaException as failure:
                if not failure.args[0].retriable():
                    raise
        places = [TopicPartition(self.source, partition) for partition in range(self.partitions)]
        tell(type="client", p=self.process, acks="all", idempotent=True, isolation="read_committed", group=self.group)
        try:
            committed = consumer.committed(places, GIVE_UP_S)
        except KafkaException:
            return False
        for place in committed:
            place.offset = 0 if place.offset == OFFSET_INVALID else place.offset
        tell(type="invoke", p=self.process, f="assign", ops=[["assign", key(place), place.offset] for place in committed])
        consumer.assign(committed)
        tell(type="ok", p=self.process)
        count = 0
        while True:
            messages = [one for one in consumer.consume(50, 0.2) if one.error() is None]
            if not messages:
                if stopping and is_at_end(consumer, committed):
                    consumer.close()
                    return True
                continue
            records, ends = polled(messages)
            ops = [["poll", records]]
            for message in messages:
                count += 1
                where = f"{message.topic()}-{message.partition()}"
                ops.append(["copy", f"{self.sink}-{message.partition()}", self.process * VALUES_MAX + count, where, message.offset()])
            offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in ends.items()]
            ops += [["commit", key(one), one.offset] for one in offsets]
            if not self.begin(ops) or not self.transact(producer, consumer, ops, offsets, self.chance.random() < 0.1):
                consumer.close()
                return False

    def transact(self, producer, consumer, ops, offsets, is_aborted):
        """One transaction, to the end of its operation; false if it cannot go on with this producer."""
        committing = False
        try:
            producer.begin_transaction()
            for op in ops:
                if op[0] == "copy":
                    producer.produce(self.sink, str(op[2]).encode(), partition=int(op[1].rpartition("-")[2]))
            producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), GIVE_UP_S)
            if not is_aborted:
                committing = True
                producer.commit_transaction(GIVE_UP_S)
                self.end("ok")
                return True
        except KafkaException as failure:
            error = failure.args[0]
            if committing and not error.txn_requires_abort():
                self.end("info", error=str(error))
                return False
        try:
            producer.abort_transaction(GIVE_UP_S)
        except KafkaException as failure:
            # The next producer of the same id aborts it, unless its commit was decided before.
            self.end("info" if committing else "fail", error=str(failure))
            return False
        self.end("fail", error="aborted")
        first = {}
        for where, pairs in ops[0][1].items():
            first[where] = pairs[0]
        for where, offset in first.items():
            topic, _, partition = where.rpartition("-")
            consumer.seek(TopicPartition(topic, int(partition), offset))
        return True


def is_at_end(consumer, places):
    """Whether everything that is in these partitions has been consumed; `places` are where it began."""
    try:
        for place in places:
            position = max(consumer.position([place])[0].offset, place.offset)
            if position < consumer.get_watermark_offsets(place, 5)[1]:
                return False
    except KafkaException:
        return False
    return True


def write(bootstrap, topic, partitions, first_process, seed):
    """Each partition of each batch in turn is a process of its own: an operation is a few records to one partition."""
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "delivery.timeout.ms": 60_000, "logger": SILENT})
    chance, partitions, idle, values, next_process = random.Random(seed), int(partitions), [], 0, int(first_process)

    def done(process, op):
        def on_delivery(error, message):
            if error is None:
                # A broker that had the record already may not know any more where.
                where = [] if message.offset() is None else [message.offset()]
                tell(type="ok", p=process, ops=[[*op, *where]])
                idle.append(process)
            else:
                tell(type="info", p=process, ops=[op], error=str(error))

        return on_delivery

    began, sent = time.monotonic(), 0
    while not stopping:
        while sent < (time.monotonic() - began) * RATE:
            if not idle:
                tell(type="client", p=next_process, acks="all", idempotent=True)
                idle.append(next_process)
                next_process += 1
            process, partition = idle.pop(), chance.randrange(partitions)
            sent += 1
            op = ["send", f"{topic}-{partition}", int(first_process) * VALUES_MAX + sent]
            tell(type="invoke", p=process, f="send", ops=[op])
            producer.produce(topic, str(op[2]).encode(), partition=partition, on_delivery=done(process, op))
        producer.poll(0.01)
    if producer.flush(GIVE_UP_S + 10) > 0:
        complain("records are left that have neither been acknowledged nor given up")


{"copy": copy, "member": member, "write": write}[sys.argv[1]](*sys.argv[2:])
