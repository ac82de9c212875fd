/** Requests that are not finished, or wait for others, and what they leave to those: 13 connections a node, as in bench/endurance.ts. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Connection, Network, Receiver } from '#base/ports';
import type { Exchange } from '#net/exchange';
import { KafkaListener } from '#net/kafka-listener';
import { FakeClock } from '../runtime/fake-clock.ts';

const PRODUCE = 0;
const FETCH = 1;
const LIMIT_BYTES = 4 << 20;
const LARGE_BYTES = 6 << 20;
const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** A client that sends what it has as soon as it is read from. */
class Peer implements Connection {
  readonly remote = { host: '127.0.0.1', port: 1 };
  readonly queuedBytes = 0;
  receiver: Receiver | undefined;
  isReset = false;
  #toSend: Uint8Array = new Uint8Array(0);
  #isPaused = false;
  #isSending = false;

  write(bytes: Uint8Array): void {
    this.#toSend = Buffer.concat([this.#toSend, bytes]);
    this.#pump();
  }
  send(): void {
    this.receiver?.flushed(0);
  }
  pause(): void {
    this.#isPaused = true;
  }
  resume(): void {
    this.#isPaused = false;
    this.#pump();
  }
  end(): void {}
  reset(): void {
    this.isReset = true;
  }

  #pump(): void {
    const { receiver } = this;
    if (receiver === undefined || this.#isSending) return;
    this.#isSending = true;
    while (!this.#isPaused && !this.isReset && this.#toSend.length > 0) {
      const into = receiver.buffer();
      const count = Math.min(into.length, this.#toSend.length);
      into.set(this.#toSend.subarray(0, count));
      this.#toSend = this.#toSend.subarray(count);
      receiver.received(count);
    }
    this.#isSending = false;
  }
}

class Stage {
  readonly clock = new FakeClock();
  readonly started: Exchange[] = [];
  /** Requests of these APIs are left to the test; all others are answered at once. */
  readonly leaves = new Set<number>();
  readonly listener: KafkaListener;
  #accept: ((connection: Connection) => Receiver) | undefined;

  private constructor() {
    const options = {
      maxRequestBytes: 100 << 20,
      requestMemoryBytes: LIMIT_BYTES,
      responseMemoryBytes: 1 << 20,
      maxConnections: 1000,
      maxConnectionsPerIp: 1000,
      maxIdleMs: 600_000,
    };
    this.listener = new KafkaListener({ clock: this.clock, logger }, options, (exchange) => {
      this.started.push(exchange);
      if (!this.leaves.has(apiKeyOf(exchange))) exchange.respond([new Uint8Array(8)], 8);
    });
  }

  static async open(): Promise<Stage> {
    const stage = new Stage();
    const network: Network = {
      listen: async (at, accept) => {
        stage.#accept = accept;
        return { at, close: async () => {} };
      },
      connect: () => {},
    };
    await stage.listener.bind(network, 'PLAINTEXT', { host: 'n', port: 9092 });
    stage.listener.serve();
    return stage;
  }

  connect(): Peer {
    const peer = new Peer();
    peer.receiver = this.#accept?.(peer);
    return peer;
  }

  /** So many clients, each of which sends a frame of `sizeBytes` but for its last `lacking`. */
  unfinished(count: number, sizeBytes: number, lacking: number, apiKey = FETCH): Peer[] {
    return Array.from({ length: count }, () => {
      const peer = this.connect();
      peer.write(frame(sizeBytes, apiKey).subarray(0, 4 + sizeBytes - lacking));
      return peer;
    });
  }

  /** So many clients, each of which sends a Produce request of `sizeBytes` that is not answered. */
  producing(count: number, sizeBytes: number): void {
    this.leaves.add(PRODUCE);
    for (let sent = 0; sent < count; sent += 1) this.connect().write(frame(sizeBytes, PRODUCE));
  }

  /** Whether a request of this size is handed over before any time passes. */
  serves(sizeBytes: number, apiKey = FETCH): boolean {
    const before = this.started.length;
    this.connect().write(frame(sizeBytes, apiKey));
    return this.started.length === before + 1;
  }

  get usedBytes(): number {
    return this.listener.requestMemory.usedBytes;
  }
}

function frame(sizeBytes: number, apiKey = FETCH): Buffer {
  const bytes = Buffer.alloc(4 + sizeBytes);
  bytes.writeInt32BE(sizeBytes, 0);
  bytes.writeInt16BE(apiKey, 4);
  return bytes;
}

function apiKeyOf({ frame }: Exchange): number {
  return new DataView(frame.buffer, frame.byteOffset).getInt16(0);
}

describe('requests that are begun and never finished', () => {
  let stage: Stage;
  afterEach(() => stage.listener.close());

  it.each([
    ['announced only', LARGE_BYTES - 8],
    ['half there', LARGE_BYTES / 2],
    ['all but their last byte there', 1],
  ])('leave smaller ones their memory: large ones, %s', async (_, lacking) => {
    stage = await Stage.open();
    stage.unfinished(40, LARGE_BYTES, lacking);
    expect([100, 64 << 10, 1 << 20].map((size) => stage.serves(size))).toEqual([true, true, true]);
  });

  it('leave small ones their memory: medium ones', async () => {
    stage = await Stage.open();
    stage.unfinished(200, 1 << 20, 1);
    expect(stage.serves(64 << 10)).toBe(true);
    expect(stage.serves(1 << 20)).toBe(false);
  });

  it('leave Produce requests their memory, whatever their own size', async () => {
    stage = await Stage.open();
    stage.unfinished(8, LARGE_BYTES, 1);
    stage.unfinished(8, 1 << 20, 1);
    stage.unfinished(100, 64 << 10, 1);
    const sizes = [100, 64 << 10, 1 << 20, LARGE_BYTES];
    expect(sizes.map((size) => stage.serves(size, PRODUCE))).toEqual([true, true, true, true]);
  });

  it.each([
    ['Produce first', [PRODUCE, FETCH]],
    ['Produce last', [FETCH, PRODUCE]],
  ])('hold no more than the limit, half of it and two large frames: %s', async (_, order) => {
    stage = await Stage.open();
    for (const sizeBytes of [LARGE_BYTES, 1 << 20, 64 << 10])
      for (const apiKey of order) stage.unfinished(sizeBytes > 64 << 10 ? 8 : 100, sizeBytes, 1, apiKey);
    expect(stage.usedBytes).toBeGreaterThan(LIMIT_BYTES + 2 * LARGE_BYTES);
    expect(stage.usedBytes).toBeLessThanOrEqual(LIMIT_BYTES * 1.5 + 2 * (1088 << 10) + 2 * LARGE_BYTES);
  });

  it('announced only, hold a MiB each and not what they announce', async () => {
    stage = await Stage.open();
    stage.unfinished(2, LARGE_BYTES, LARGE_BYTES - 8);
    expect(stage.usedBytes).toBe(2 << 20);
  });

  it('are reset one after the other while a proper one waits for their memory, until that was served', async () => {
    stage = await Stage.open();
    const idle = stage.unfinished(13, LARGE_BYTES, 1);
    const proper = stage.connect();
    proper.write(frame(LARGE_BYTES));
    stage.clock.advance(2_000);
    expect([stage.started.length, idle.filter(({ isReset }) => isReset).length]).toEqual([0, 0]);
    stage.clock.advance(12 * 3_000);
    expect(stage.started).toHaveLength(1);
    expect(proper.isReset).toBe(false);
  });

  it('are all reset within three seconds where they have left nothing to their like', async () => {
    stage = await Stage.open();
    const idle = stage.unfinished(64, 64 << 10, 1);
    expect(stage.serves(64 << 10)).toBe(false);
    stage.clock.advance(3_000);
    expect(idle.every(({ isReset }) => isReset)).toBe(true);
    expect(stage.started).toHaveLength(1);
    expect(stage.usedBytes).toBe(0);
  });

  it('are left alone for thirty seconds while nobody waits', async () => {
    stage = await Stage.open();
    const [idle] = stage.unfinished(1, LARGE_BYTES, 1);
    stage.clock.advance(29_000);
    expect(idle?.isReset).toBe(false);
    idle?.write(new Uint8Array(1));
    expect(stage.started).toHaveLength(1);
  });

  it('are not taken for idle because the node itself stood still', async () => {
    stage = await Stage.open();
    const [first] = stage.unfinished(13, LARGE_BYTES, 1);
    stage.clock.advance(1_000);
    stage.clock.stall(10_000);
    expect(first?.isReset).toBe(false);
    stage.clock.advance(1_000);
    expect(first?.isReset).toBe(true);
  });
});

describe('large requests', () => {
  it('which together want more than there is are all served, one after the other, whole', async () => {
    const stage = await Stage.open();
    const body = frame(LARGE_BYTES);
    for (let at = 12; at < body.length; at += 4) body.writeInt32BE(at, at);
    const peers = Array.from({ length: 12 }, () => stage.connect());
    // In turns, so that all are begun before any is whole.
    for (let at = 0; at < body.length; at += 500_000)
      for (const peer of peers) peer.write(body.subarray(at, at + 500_000));
    expect(stage.started).toHaveLength(12);
    for (const exchange of stage.started) expect(Buffer.compare(exchange.frame, body.subarray(4))).toBe(0);
    expect(stage.usedBytes).toBe(0);
    await stage.listener.close();
  });

  it('above the limit: there is one until it is answered', async () => {
    const stage = await Stage.open();
    stage.leaves.add(FETCH);
    const [first, second] = [stage.connect(), stage.connect()];
    first?.write(frame(LARGE_BYTES));
    second?.write(frame(LARGE_BYTES));
    expect(stage.started).toHaveLength(1);
    stage.started[0]?.respond([new Uint8Array(8)], 8);
    expect(stage.started).toHaveLength(2);
    await stage.listener.close();
  });

  it('give back what they hold when their client goes, also while they wait for more', async () => {
    const stage = await Stage.open();
    const peers = stage.unfinished(40, LARGE_BYTES, 1);
    for (const peer of peers) peer.receiver?.closed('reset');
    expect(stage.usedBytes).toBe(0);
    expect(stage.listener.requestMemory.isAwaited).toBe(false);
    await stage.listener.close();
  });
});

describe('Produce requests that wait until others were served', () => {
  let stage: Stage;
  afterEach(() => stage.listener.close());

  it.each([
    ['small', 64 << 10],
    ['medium', 1 << 20],
    ['large', LARGE_BYTES],
  ])('leave those their memory: %s ones', async (_, sizeBytes) => {
    stage = await Stage.open();
    stage.producing(100, sizeBytes);
    expect(stage.serves(sizeBytes, PRODUCE)).toBe(false);
    const sizes = [100, 64 << 10, 1 << 20, LARGE_BYTES];
    expect(sizes.map((size) => stage.serves(size))).toEqual([true, true, true, true]);
  });

  it('leave those their memory: ones of all sizes', async () => {
    stage = await Stage.open();
    for (const sizeBytes of [LARGE_BYTES, 1 << 20, 64 << 10]) stage.producing(20, sizeBytes);
    const sizes = [100, 64 << 10, 1 << 20, LARGE_BYTES];
    expect(sizes.map((size) => stage.serves(size))).toEqual([true, true, true, true]);
  });

  it('come after those when memory is free again', async () => {
    stage = await Stage.open();
    stage.producing(100, 64 << 10);
    stage.leaves.add(FETCH);
    while (stage.serves(64 << 10));
    const before = stage.started.length;
    for (const exchange of stage.started.slice(0, 20)) exchange.respond([new Uint8Array(8)], 8);
    expect(stage.started.slice(before, before + 2).map(apiKeyOf)).toEqual([FETCH, PRODUCE]);
  });

  it('are all served, at a fetch each, though they want many times what there is', async () => {
    stage = await Stage.open();
    stage.producing(200, 64 << 10);
    let fetches = 0;
    for (let index = 0; index < stage.started.length; index += 1) {
      const exchange = stage.started[index];
      if (exchange === undefined || apiKeyOf(exchange) === FETCH) continue;
      if (stage.serves(100)) fetches += 1;
      exchange.respond([new Uint8Array(8)], 8);
    }
    expect([fetches, stage.usedBytes]).toEqual([200, 0]);
  });
});
