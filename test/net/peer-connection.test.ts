import { describe, expect, it } from 'vitest';
import type { Connection } from '#base/ports';
import { MemoryBudget } from '#net/memory-budget';
import { type ConnectionLoss, PeerConnection } from '#net/peer-connection';
import { FRAGMENT_BYTES_MAX, Lane, PeerFrameReader } from '#net/peer-frames';
import { FakeClock } from '../runtime/fake-clock.ts';

/** Takes what it is told to, as a socket does. */
class SlowConnection implements Connection {
  readonly remote = { host: 'peer', port: 1 };
  readonly chunks: Uint8Array[] = [];
  over: 'end' | 'reset' | undefined;
  queuedBytes = 0;

  send(chunks: readonly Uint8Array[]): void {
    for (const chunk of chunks) {
      this.chunks.push(Uint8Array.from(chunk));
      this.queuedBytes += chunk.length;
    }
  }
  pause(): void {}
  resume(): void {}
  end(): void {
    this.over = 'end';
  }
  reset(): void {
    this.over = 'reset';
  }
}

function setUp() {
  const connection = new SlowConnection();
  const clock = new FakeClock();
  const faults: (string | undefined)[] = [];
  const losses: ConnectionLoss[] = [];
  const kinds: number[] = [];
  const shared = { slab: new Uint8Array(1024), reserve: new MemoryBudget(1 << 20), clock };
  const peer = new PeerConnection(connection, shared, () => ({
    message: (kind) => kinds.push(kind),
    closed: (loss, fault) => {
      losses.push(loss);
      faults.push(fault);
    },
  }));
  const feed = (bytes: Uint8Array): void => {
    peer.buffer().set(bytes);
    peer.received(bytes.length);
  };
  /** The socket takes all that it was given, until there is no more; gives [kind, bytes] of what came out. */
  const drain = (): [number, number][] => {
    const messages: [number, number][] = [];
    const reader = new PeerFrameReader(new MemoryBudget(1 << 30), (kind, payload) =>
      messages.push([kind, payload.length]),
    );
    for (;;) {
      const chunks = connection.chunks.splice(0);
      if (chunks.length === 0) return messages;
      for (const chunk of chunks) expect(reader.take(chunk)).toBeUndefined();
      connection.queuedBytes = 0;
      peer.flushed();
    }
  };
  return { connection, clock, faults, losses, kinds, peer, feed, drain };
}

const MIB = 1024 * 1024;

describe('a peer connection', () => {
  it('hands a bounded part of what it has to the kernel at a time', () => {
    const { peer, connection, drain } = setUp();
    peer.send(Lane.Bulk, 1, new Uint8Array(4 * MIB));
    expect(connection.queuedBytes).toBeLessThan(4 * FRAGMENT_BYTES_MAX);
    expect(drain()).toEqual([[1, 4 * MIB]]);
    expect(peer.unsentBytes).toBe(0);
  });

  it('sends an urgent message before the rest of a bulk message', () => {
    const { peer, drain } = setUp();
    peer.send(Lane.Bulk, 1, new Uint8Array(4 * MIB));
    peer.send(Lane.Urgent, 2, new Uint8Array(10));
    expect(drain()).toEqual([
      [2, 10],
      [1, 4 * MIB],
    ]);
  });

  it('does not let urgent messages keep a bulk message back for ever', () => {
    const { peer, drain } = setUp();
    for (let count = 0; count < 60; count += 1) peer.send(Lane.Urgent, 2, new Uint8Array(FRAGMENT_BYTES_MAX));
    peer.send(Lane.Bulk, 1, new Uint8Array(3 * FRAGMENT_BYTES_MAX));
    const order = drain().map(([kind]) => kind);
    expect(order).toHaveLength(61);
    expect(order.indexOf(1)).toBeLessThan(25);
  });

  it('takes nothing more for a peer that takes nothing, and says so', () => {
    const { peer } = setUp();
    const payload = new Uint8Array(1000);
    let taken = 0;
    while (taken < 100_000 && peer.send(Lane.Urgent, 1, payload)) taken += 1;
    expect(peer.unsentBytes).toBeGreaterThan(7 * MIB);
    expect(peer.unsentBytes).toBeLessThan(10 * MIB);
    expect(peer.send(Lane.Bulk, 1, payload)).toBe(true);
    expect(peer.send(Lane.Urgent, 1, payload)).toBe(false);
  });

  it('bounds messages without a payload as well', () => {
    const { peer, connection } = setUp();
    connection.queuedBytes = 1 << 20;
    let taken = 0;
    while (taken < 1_000_000 && peer.send(Lane.Urgent, 1, new Uint8Array(0))) taken += 1;
    expect(taken).toBeLessThan(200_000);
  });

  it('flushes what is queued when it ends, and takes nothing more', () => {
    const { peer, connection, drain, losses } = setUp();
    peer.send(Lane.Bulk, 1, new Uint8Array(MIB));
    peer.end();
    expect(connection.over).toBe('end');
    expect(peer.send(Lane.Urgent, 2, new Uint8Array(1))).toBe(false);
    expect(drain()).toEqual([[1, MIB]]);
    peer.closed('end');
    expect(losses).toEqual(['end']);
  });

  it('is reset, with a sentence, when nothing is heard of the peer for five seconds', () => {
    const { peer, clock, connection, faults, losses, feed } = setUp();
    clock.advance(4_000);
    feed(Uint8Array.of(9, 0, 0, 0));
    clock.advance(4_900);
    peer.sweep(0);
    expect(connection.over).toBeUndefined();
    clock.advance(200);
    peer.sweep(0);
    peer.sweep(0);
    expect(connection.over).toBe('reset');
    peer.closed('reset');
    expect(losses).toEqual(['silence']);
    expect(faults).toEqual(['nothing was heard of the peer for 5000 ms']);
  });

  it('does not hold our own lateness against the peer', () => {
    const { peer, clock, connection } = setUp();
    clock.advance(8_000);
    peer.sweep(4_000);
    expect(connection.over).toBeUndefined();
  });

  it('is reset when the peer takes nothing for ten seconds, though it speaks', () => {
    const { peer, clock, losses, feed } = setUp();
    peer.send(Lane.Urgent, 1, new Uint8Array(10));
    for (let second = 0; second < 10; second += 1) {
      clock.advance(1_000);
      feed(Uint8Array.of(9, 0, 0, 0));
      peer.sweep(0);
    }
    expect(losses).toEqual([]);
    clock.advance(1_000);
    feed(Uint8Array.of(9, 0, 0, 0));
    peer.sweep(0);
    peer.closed('reset');
    expect(losses).toEqual(['stall']);
  });

  it('delivers nothing of what follows a reset by its user', () => {
    const kinds: number[] = [];
    const connection = new SlowConnection();
    const shared = { slab: new Uint8Array(64), reserve: new MemoryBudget(1), clock: new FakeClock() };
    const peer = new PeerConnection(connection, shared, (self) => ({
      message: (kind) => {
        kinds.push(kind);
        self.reset('forgotten');
      },
      closed() {},
    }));
    peer.buffer().set([1, 0, 0, 0, 2, 0, 0, 0]);
    peer.received(8);
    expect(kinds).toEqual([1]);
    expect(connection.over).toBe('reset');
  });
});
