import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Connection } from '#base/ports';
import type { Exchange } from '#net/exchange';
import { type ConnectionContext, KafkaConnection } from '#net/kafka-connection';
import { MemoryBudget } from '#net/memory-budget';
import { frameMemory, RequestMemory } from '#net/request-memory';

const PRODUCE = 0;
const FETCH = 1;

class FakeConnection implements Connection {
  readonly remote = { host: '127.0.0.1', port: 1 };
  readonly sent: number[] = [];
  paused = false;
  over: 'end' | 'reset' | undefined;
  queuedBytes = 0;

  send(chunks: readonly Uint8Array[]): void {
    const bytes = Buffer.concat(chunks);
    this.queuedBytes += bytes.length;
    this.sent.push(bytes.readInt32BE(0));
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
  end(): void {
    this.over = 'end';
  }
  reset(): void {
    this.over = 'reset';
  }
}

interface Started {
  readonly id: number;
  readonly exchange: Exchange;
}

function setUp(options: { budgetBytes?: number; maxRequestBytes?: number } = {}) {
  const connection = new FakeConnection();
  const started: Started[] = [];
  const refused: string[] = [];
  const context: ConnectionContext = {
    listenerName: 'PLAINTEXT',
    slab: new Uint8Array(4096),
    requestMemory: new RequestMemory(options.budgetBytes ?? 1 << 20),
    responseBudget: new MemoryBudget(1 << 20),
    maxRequestBytes: options.maxRequestBytes ?? 1 << 20,
    now: () => 0,
    handle: (exchange) => started.push({ id: Buffer.from(exchange.frame).readInt32BE(4), exchange }),
    serving: () => true,
    refused: (_connection, reason) => refused.push(reason),
    ended: () => {},
  };
  const kafka = new KafkaConnection(connection, context);
  const feed = (bytes: Uint8Array): void => {
    for (let at = 0; at < bytes.length; ) {
      const room = kafka.buffer();
      const count = Math.min(room.length, bytes.length - at);
      room.set(bytes.subarray(at, at + count));
      kafka.received(count);
      at += count;
    }
  };
  return { connection, context, kafka, started, refused, feed };
}

/** A request of `apiKey` whose correlation id is `id`. */
function frame(apiKey: number, id: number, sizeBytes = 12): Buffer {
  const bytes = Buffer.alloc(4 + sizeBytes);
  bytes.writeInt32BE(sizeBytes, 0);
  bytes.writeInt16BE(apiKey, 4);
  bytes.writeInt32BE(id, 8);
  return bytes;
}

function answer(id: number): [Uint8Array[], number] {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(id, 0);
  return [[bytes], 4];
}

const ids = (started: readonly Started[]) => started.map(({ id }) => id);

describe('a Kafka connection', () => {
  it('hands over frames whole and in order however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 8, max: 9000 }), { minLength: 1, maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1 }),
        (sizes, cuts) => {
          const { feed, started } = setUp();
          const stream = Buffer.concat(sizes.map((size, id) => frame(PRODUCE, id, size)));
          for (let at = 0, cut = 0; at < stream.length; cut += 1) {
            const size = cuts[cut % cuts.length] as number;
            feed(stream.subarray(at, at + size));
            at += size;
          }
          for (let index = 0; index < started.length; index += 1) started[index]?.exchange.reachedLog();
          expect(started.map(({ exchange }) => exchange.frame.length)).toEqual(sizes);
          expect(ids(started)).toEqual(sizes.map((_, id) => id));
        },
      ),
    );
  });

  it('tells a request that waits, once, that another one has come behind it', () => {
    const { feed, started } = setUp();
    let told = 0;
    feed(frame(FETCH, 1));
    started[0]?.exchange.whenFollowed(() => {
      told += 1;
    });
    expect(told).toBe(0);
    feed(frame(FETCH, 2));
    feed(frame(FETCH, 3));
    expect([told, ids(started)]).toEqual([1, [1]]);
    started[0]?.exchange.respond(...answer(1));
    expect(ids(started)).toEqual([1, 2]);
    started[1]?.exchange.whenFollowed(() => {
      told += 1;
    });
    expect(told).toBe(2);
  });

  it('tells it too when the one behind it is too large to be read ahead', () => {
    const { feed, started } = setUp();
    let told = 0;
    feed(frame(FETCH, 1));
    started[0]?.exchange.whenFollowed(() => {
      told += 1;
      started[0]?.exchange.respond(...answer(1));
    });
    feed(frame(FETCH, 2, 200_000));
    expect([told, ids(started)]).toEqual([1, [1, 2]]);
  });

  it('starts a Produce request once its predecessor has reached the log', () => {
    const { feed, started } = setUp();
    feed(Buffer.concat([frame(PRODUCE, 0), frame(PRODUCE, 1)]));
    expect(ids(started)).toEqual([0]);
    started[0]?.exchange.reachedLog();
    expect(ids(started)).toEqual([0, 1]);
  });

  it('starts any other request only when all before it are answered', () => {
    const { feed, started } = setUp();
    feed(Buffer.concat([frame(PRODUCE, 0), frame(FETCH, 1), frame(PRODUCE, 2)]));
    started[0]?.exchange.reachedLog();
    expect(ids(started)).toEqual([0]);
    started[0]?.exchange.respond(...answer(0));
    expect(ids(started)).toEqual([0, 1]);
    started[1]?.exchange.respond(...answer(1));
    expect(ids(started)).toEqual([0, 1, 2]);
  });

  it('lets five Produce requests in flight reach the log and answer in order whatever the delays', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 60 }), (choices) => {
        const { feed, started, connection } = setUp();
        const count = 5;
        feed(Buffer.concat(Array.from({ length: count }, (_, id) => frame(PRODUCE, id))));
        const reached: number[] = [];
        const answered = new Set<number>();
        const step = (choice: number): void => {
          const open = started.filter(({ id }) => !answered.has(id));
          const chosen = open[choice % Math.max(1, open.length)];
          if (chosen === undefined) return;
          if (!reached.includes(chosen.id)) {
            reached.push(chosen.id);
            chosen.exchange.reachedLog();
          } else {
            answered.add(chosen.id);
            chosen.exchange.respond(...answer(chosen.id));
          }
        };
        choices.forEach(step);
        for (let turn = 0; turn < 4 * count; turn += 1) step(turn);
        expect(reached).toEqual([0, 1, 2, 3, 4]);
        expect(connection.sent).toEqual([0, 1, 2, 3, 4]);
      }),
    );
  });

  it('closes on a frame beyond socket.request.max.bytes, with its reason', () => {
    const { feed, refused, connection, started } = setUp({ maxRequestBytes: 100 });
    feed(frame(FETCH, 0, 101).subarray(0, 10));
    expect(started).toEqual([]);
    expect(connection.over).toBe('end');
    expect(refused).toHaveLength(1);
    expect(refused[0]).toMatch(/101 bytes/);
  });

  it('leaves large requests in the socket while they wait for one that may take long', () => {
    const { feed, started, connection, context } = setUp();
    feed(Buffer.concat([frame(FETCH, 0), frame(FETCH, 1, 50_000), frame(PRODUCE, 2, 50_000)]));
    expect(context.requestMemory.usedBytes).toBe(12 + 50_000);
    expect(connection.paused).toBe(true);
    started[0]?.exchange.respond(...answer(0));
    expect(ids(started)).toEqual([0, 1]);
    started[1]?.exchange.respond(...answer(1));
    expect(ids(started)).toEqual([0, 1, 2]);
    expect(connection.paused).toBe(false);
  });

  it('takes large Produce requests ahead while those before them await their acknowledgements', () => {
    const { feed, started, connection } = setUp();
    feed(Buffer.concat(Array.from({ length: 4 }, (_, id) => frame(PRODUCE, id, 100_000))));
    for (let id = 0; id < 4; id += 1) started[id]?.exchange.reachedLog();
    expect(ids(started)).toEqual([0, 1, 2, 3]);
    expect(connection.paused).toBe(false);
  });

  it('lends the bytes of earlier answers until they are sent, though a later request closes the connection', () => {
    const { feed, kafka, started, connection } = setUp();
    let sent = 0;
    feed(frame(FETCH, 0));
    started[0]?.exchange.respond(...answer(0), () => {
      sent += 1;
    });
    feed(Buffer.from([0xff, 0xff, 0xff, 0xff]));
    expect(connection.over).toBe('end');
    expect(sent).toBe(0);
    kafka.flushed(0);
    expect(sent).toBe(1);
    kafka.closed('end');
    expect(sent).toBe(1);
  });

  it('starts nothing behind a request that is refused', () => {
    const { feed, started, context } = setUp();
    feed(Buffer.concat([frame(FETCH, 0), frame(FETCH, 1)]));
    started[0]?.exchange.refuse('unknown');
    expect(ids(started)).toEqual([0]);
    expect(context.requestMemory.usedBytes).toBe(0);
  });

  it('keeps the memory of a request past its answer for as long as it is held, and past the connection', () => {
    const { feed, kafka, started, context } = setUp();
    feed(frame(PRODUCE, 0, 100));
    const letGo = started[0]?.exchange.holdMemory();
    started[0]?.exchange.respond(...answer(0));
    expect(context.requestMemory.usedBytes).toBe(100);
    kafka.closed('reset');
    expect(context.requestMemory.usedBytes).toBe(100);
    letGo?.();
    expect(context.requestMemory.usedBytes).toBe(0);
  });

  it('tells a request whose client has gone, once, and never after its answer', () => {
    const { feed, kafka, started } = setUp();
    const gone: number[] = [];
    feed(Buffer.concat([frame(FETCH, 0), frame(FETCH, 1), frame(FETCH, 2)]));
    started[0]?.exchange.whenGone(() => gone.push(0));
    started[0]?.exchange.respond(...answer(0));
    started[1]?.exchange.whenGone(() => gone.push(1));
    kafka.closed('end');
    expect(gone).toEqual([1]);
    started[1]?.exchange.finish();
    started[2]?.exchange.whenGone(() => gone.push(2));
    expect(gone).toEqual([1, 2]);
  });

  it('is woken again when what its first waiting request took is free at once', () => {
    const { connection, context, kafka, feed, started } = setUp({ budgetBytes: 10 });
    context.handle = (exchange) => {
      started.push({ id: Buffer.from(exchange.frame).readInt32BE(4), exchange });
      exchange.finish();
    };
    const other = frameMemory(10, false);
    expect(context.requestMemory.tryGrow(other)).toBe(true);
    feed(Buffer.concat([frame(FETCH, 0), frame(FETCH, 1), frame(FETCH, 2)]));
    context.requestMemory.release(other);
    expect(ids(started)).toEqual([0, 1, 2]);
    expect(connection.paused).toBe(false);
    expect(kafka.idleSince).toBeDefined();
  });

  it('closes on a negative length', () => {
    const { feed, connection } = setUp();
    feed(Buffer.from([0xff, 0xff, 0xff, 0xff]));
    expect(connection.over).toBe('end');
  });

  it('stops reading at the length prefix when request memory is taken, and goes on when it is free', () => {
    const { feed, started, connection, context } = setUp({ budgetBytes: 100 });
    const other = frameMemory(100, false);
    expect(context.requestMemory.tryGrow(other)).toBe(true);
    feed(frame(FETCH, 7));
    expect(connection.paused).toBe(true);
    expect(started).toEqual([]);
    context.requestMemory.release(other);
    expect(ids(started)).toEqual([7]);
    expect(connection.paused).toBe(false);
  });

  it('asks for the memory of a frame once its API is known, behind the length prefix', () => {
    const { feed, started, context } = setUp();
    const bytes = frame(FETCH, 7, 100);
    feed(bytes.subarray(0, 5));
    expect(context.requestMemory.usedBytes).toBe(0);
    feed(bytes.subarray(5, 6));
    expect(context.requestMemory.usedBytes).toBe(100);
    feed(bytes.subarray(6));
    expect(ids(started)).toEqual([7]);
  });

  it('keeps a Fetch behind a Produce request that waits for memory, though there is some for the Fetch', () => {
    const { feed, started, connection, context } = setUp({ budgetBytes: 100 });
    const other = frameMemory(100, true);
    expect(context.requestMemory.tryGrow(other)).toBe(true);
    feed(Buffer.concat([frame(FETCH, 0), frame(PRODUCE, 1), frame(FETCH, 2)]));
    started[0]?.exchange.respond(...answer(0));
    expect(ids(started)).toEqual([0]);
    expect(connection.paused).toBe(true);
    context.requestMemory.release(other);
    started[1]?.exchange.respond(...answer(1));
    expect(ids(started)).toEqual([0, 1, 2]);
    expect(connection.paused).toBe(false);
  });

  it('gives all request memory back when the connection is reset in the middle', () => {
    const { feed, kafka, started, context } = setUp();
    feed(Buffer.concat([frame(FETCH, 0), frame(FETCH, 1), frame(FETCH, 2, 500).subarray(0, 100)]));
    expect(context.requestMemory.usedBytes).toBe(12 + 12 + 500);
    kafka.closed('reset');
    started[0]?.exchange.respond(...answer(0));
    expect(ids(started)).toEqual([0]);
    expect(context.requestMemory.usedBytes).toBe(0);
  });

  it('ends without an error for its peer when the node goes, and starts nothing more', () => {
    const { connection, feed, kafka, started, context } = setUp();
    feed(Buffer.concat([frame(FETCH, 0), frame(FETCH, 1)]));
    started[0]?.exchange.respond(...answer(0));
    kafka.flushed(0);
    kafka.leave();
    expect(connection.over).toBe('end');
    started[1]?.exchange.respond(...answer(1));
    kafka.closed('end');
    expect(connection.sent).toHaveLength(1);
    expect([context.requestMemory.usedBytes, context.responseBudget.usedBytes]).toEqual([0, 0]);
  });

  it('is reset when the node goes while an answer waits to be sent, whose bytes are lent', () => {
    const { connection, feed, kafka, started, context } = setUp();
    feed(frame(FETCH, 0));
    started[0]?.exchange.respond(...answer(0));
    kafka.leave();
    expect(connection.over).toBe('reset');
    expect(context.responseBudget.usedBytes).toBe(0);
  });

  it('still does what arrived whole before a clean end: a producer with acks=0 closes at once', () => {
    const { feed, kafka, started } = setUp();
    feed(Buffer.concat([frame(FETCH, 0), frame(PRODUCE, 1)]));
    kafka.closed('end');
    started[0]?.exchange.respond(...answer(0));
    expect(ids(started)).toEqual([0, 1]);
  });

  it('does not read while more than 1 MiB of answers is not taken', () => {
    const { feed, kafka, started, connection, context } = setUp();
    feed(frame(FETCH, 0));
    const large = Buffer.alloc((1 << 20) + 1);
    started[0]?.exchange.respond([large], large.length);
    expect(connection.paused).toBe(true);
    expect(context.responseBudget.usedBytes).toBe(large.length);
    kafka.flushed(0);
    expect(connection.paused).toBe(false);
    expect(context.responseBudget.usedBytes).toBe(0);
  });

  it('reads at most 64 requests ahead', () => {
    const { feed, started, connection } = setUp();
    feed(Buffer.concat(Array.from({ length: 100 }, (_, id) => frame(FETCH, id))));
    expect(connection.paused).toBe(true);
    for (let id = 0; id < 100; id += 1) started[id]?.exchange.respond(...answer(id));
    expect(connection.sent).toEqual(Array.from({ length: 100 }, (_, id) => id));
    expect(connection.paused).toBe(false);
  });
});
