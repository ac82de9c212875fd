import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Clock, Connection, Network, Receiver } from '#base/ports';
import { KafkaClient } from '#net/kafka-client';

/** A broker that the test plays; the client's clock fires when it says so. */
class Peer {
  readonly sent: Buffer[] = [];
  readonly heard: string[] = [];
  isReset = false;
  readonly client: KafkaClient;
  #receiver: Receiver | undefined;
  #open: ((connection: Connection) => Receiver) | undefined;
  #fire: (() => void) | undefined;
  #deferred: (() => void)[] = [];

  constructor(responseBytesMax = 1 << 20) {
    const network: Pick<Network, 'connect'> = {
      connect: (_to, open) => {
        this.#open = open;
      },
    };
    const clock: Pick<Clock, 'timer' | 'defer'> = {
      timer: (fire) => ({
        arm: () => {
          this.#fire = () => fire(0);
        },
        disarm: () => {
          this.#fire = undefined;
        },
      }),
      defer: (run) => this.#deferred.push(run),
    };
    this.client = new KafkaClient(
      { network: network as Network, clock: clock as Clock },
      { host: 'h', port: 1 },
      { dialTimeoutMs: 100, responseBytesMax },
      {
        opened: () => this.heard.push('opened'),
        response: (frame) => this.heard.push(Buffer.from(frame).toString()),
        closed: (reason) => this.heard.push(`closed: ${reason}`),
      },
    );
  }

  accept(): this {
    const connection: Connection = {
      remote: { host: 'h', port: 1 },
      queuedBytes: 0,
      send: (chunks) => this.sent.push(Buffer.concat(chunks)),
      pause: () => {},
      resume: () => {},
      end: () => {},
      reset: () => {
        this.isReset = true;
      },
    };
    this.#receiver = this.#open?.(connection);
    for (const run of this.#deferred.splice(0)) run();
    return this;
  }

  timeUp(): void {
    this.#fire?.();
  }

  /** As the network would: as much as the client has room for at a time. */
  feed(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && this.#receiver !== undefined; ) {
      const room = this.#receiver.buffer();
      const count = Math.min(room.length, bytes.length - at);
      room.set(bytes.subarray(at, at + count));
      this.#receiver.received(count);
      at += count;
    }
  }

  close(cause: Parameters<Receiver['closed']>[0]): void {
    this.#receiver?.closed(cause);
  }
}

function response(text: string): Buffer {
  const bytes = Buffer.alloc(4 + text.length);
  bytes.writeInt32BE(text.length);
  bytes.write(text, 4);
  return bytes;
}

describe('a connection to another broker', () => {
  it('hands over responses whole and in order however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 4, max: 200_000 }), { minLength: 1, maxLength: 5 }),
        fc.array(fc.integer({ min: 1, max: 90_000 }), { minLength: 1 }),
        (sizes, cuts) => {
          const peer = new Peer().accept();
          const texts = sizes.map((size, index) => String(index).repeat(size));
          const stream = Buffer.concat(texts.map(response));
          for (let at = 0, cut = 0; at < stream.length; cut += 1) {
            const size = cuts[cut % cuts.length] as number;
            peer.feed(stream.subarray(at, at + size));
            at += size;
          }
          expect(peer.heard).toEqual(['opened', ...texts]);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('sends what it is given', () => {
    const peer = new Peer().accept();
    peer.client.send([Buffer.from('ab'), Buffer.from('c')]);
    expect(peer.sent.map(String)).toEqual(['abc']);
  });

  it('ends when the dial takes too long, is refused, or breaks, and says so once', () => {
    const slow = new Peer();
    slow.timeUp();
    slow.accept();
    expect([slow.heard, slow.isReset]).toEqual([['closed: no answer to the dial'], true]);
    const broken = new Peer().accept();
    broken.close('reset');
    broken.close('reset');
    expect(broken.heard).toEqual(['opened', 'closed: reset']);
  });

  it.each([
    ['larger than it may be', 101],
    ['too small to be one', 3],
    ['of a negative size', -1],
  ])('ends at a response %s', (_what, size) => {
    const peer = new Peer(100).accept();
    const prefix = Buffer.alloc(4);
    prefix.writeInt32BE(size);
    peer.feed(prefix);
    expect(peer.heard.at(-1)).toBe(`closed: a response of ${size} bytes`);
  });

  it('is silent after its owner has closed it', () => {
    const peer = new Peer().accept();
    peer.client.close();
    peer.feed(response('late'));
    peer.close('end');
    expect([peer.heard, peer.isReset]).toEqual([['opened'], true]);
  });
});
