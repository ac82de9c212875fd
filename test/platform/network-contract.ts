import { describe, expect, it } from 'vitest';
import type { Connection, Endpoint, Listener, Network, Receiver } from '#base/ports';

/** Two users of a network, and how promises over it come to settle. */
export interface NetworkHarness {
  readonly near: Network;
  readonly far: Network;
  /** Where `far` listens. */
  readonly at: Endpoint;
  settle<T>(promise: Promise<T>): Promise<T>;
  /** Some time in which what was to happen would have happened. */
  quiet(): Promise<void>;
}

type Cause = Parameters<Receiver['closed']>[0];

/** A receiver that keeps what comes, and tells when. */
export class Recorder implements Receiver {
  readonly connection: Connection;
  readonly reads: Buffer[] = [];
  readonly flushes: number[] = [];
  readonly causes: Cause[] = [];
  receivedBytes = 0;
  /** Called after each event. */
  onEvent: () => void = () => {};
  readonly #buffer: Buffer;

  constructor(connection: Connection, bufferBytes = 4096) {
    this.connection = connection;
    this.#buffer = Buffer.alloc(bufferBytes);
  }

  get text(): string {
    return Buffer.concat(this.reads).toString('latin1');
  }

  buffer(): Uint8Array {
    return this.#buffer;
  }

  received(bytes: number): void {
    this.reads.push(Buffer.from(this.#buffer.subarray(0, bytes)));
    this.receivedBytes += bytes;
    this.onEvent();
  }

  flushed(queuedBytes: number): void {
    this.flushes.push(queuedBytes);
    this.onEvent();
  }

  closed(cause: Cause): void {
    this.causes.push(cause);
    this.onEvent();
  }

  /** Resolves as soon as `holds` does, looked at after each event. */
  when(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (holds()) resolve();
      };
      this.onEvent = look;
      look();
    });
  }
}

/** A listener that records, and the near end of a connection to it. */
async function pair(
  harness: NetworkHarness,
  makeFar: (connection: Connection) => Recorder = (connection) => new Recorder(connection),
): Promise<{ near: Recorder; far: Recorder; listener: Listener }> {
  const { settle } = harness;
  let near: Recorder | undefined;
  const accepted = Promise.withResolvers<Recorder>();
  const listener = await settle(
    harness.far.listen(harness.at, (connection) => {
      const far = makeFar(connection);
      accepted.resolve(far);
      return far;
    }),
  );
  harness.near.connect(listener.at, (connection) => {
    near = new Recorder(connection);
    return near;
  });
  expect(near).toBeUndefined();
  const far = await settle(accepted.promise);
  return { near: near as unknown as Recorder, far, listener };
}

function pattern(sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  for (let at = 0; at < sizeBytes; at++) bytes[at] = (at * 31 + (at >> 8)) & 0xff;
  return bytes;
}

/** What every Network does, whatever is behind it. */
export function describeNetwork(name: string, make: () => Promise<NetworkHarness>): void {
  describe(`${name}, as a network,`, () => {
    it('carries bytes both ways, whole and in order', async () => {
      const harness = await make();
      const { near, far, listener } = await pair(harness);
      const bytes = pattern(300_000);
      const chunks = [bytes.subarray(0, 1), bytes.subarray(1, 1000), Buffer.alloc(0), bytes.subarray(1000)];
      near.connection.send(chunks);
      far.connection.send([Buffer.from('an answer')]);
      await harness.settle(far.when(() => far.receivedBytes === bytes.length));
      expect(Buffer.concat(far.reads).equals(bytes)).toBe(true);
      await harness.settle(near.when(() => near.text === 'an answer'));
      near.connection.end();
      await harness.settle(far.when(() => far.causes.length > 0));
      await harness.settle(listener.close());
    });

    it('carries what was sent before the connection was there', async () => {
      const harness = await make();
      const greeted = Promise.withResolvers<Recorder>();
      const listener = await harness.settle(
        harness.far.listen(harness.at, (connection) => {
          connection.send([Buffer.from('welcome')]);
          const far = new Recorder(connection);
          greeted.resolve(far);
          return far;
        }),
      );
      let near: Recorder | undefined;
      harness.near.connect(listener.at, (connection) => {
        connection.send([Buffer.from('hel'), Buffer.from('lo')]);
        near = new Recorder(connection);
        return near;
      });
      const far = await harness.settle(greeted.promise);
      await harness.settle(far.when(() => far.text === 'hello'));
      const client = near as unknown as Recorder;
      await harness.settle(client.when(() => client.text === 'welcome'));
      client.connection.reset();
      await harness.settle(far.when(() => far.causes.length > 0));
      await harness.settle(listener.close());
    });

    it('tells both ends who the other is', async () => {
      const harness = await make();
      const { near, far, listener } = await pair(harness);
      expect(near.connection.remote).toEqual(listener.at);
      expect(far.connection.remote.host).not.toBe('');
      expect(far.connection.remote.port).toBeGreaterThan(0);
      near.connection.reset();
      await harness.settle(listener.close());
    });

    it('says flushed once the sends are out, never inside the call, and counts what is not', async () => {
      const harness = await make();
      const { near, far, listener } = await pair(harness);
      near.connection.send([Buffer.from('one')]);
      near.connection.send([Buffer.from('two'), Buffer.from('three')]);
      expect(near.flushes).toEqual([]);
      await harness.settle(near.when(() => near.flushes.at(-1) === 0));
      expect(near.connection.queuedBytes).toBe(0);
      await harness.settle(far.when(() => far.text === 'onetwothree'));
      near.connection.reset();
      await harness.settle(listener.close());
    });

    it('fills up behind a receiver that pauses, and moves on when it resumes', async () => {
      const harness = await make();
      const { near, far, listener } = await pair(harness);
      far.connection.pause();
      const bytes = pattern(16 * 1024 * 1024);
      near.connection.send([bytes]);
      await harness.settle(harness.quiet());
      const before = far.receivedBytes;
      await harness.settle(harness.quiet());
      expect(far.receivedBytes).toBe(before);
      expect(before).toBeLessThan(bytes.length);
      expect(near.connection.queuedBytes).toBeGreaterThan(0);
      far.connection.resume();
      await harness.settle(far.when(() => far.receivedBytes === bytes.length));
      expect(Buffer.concat(far.reads).equals(bytes)).toBe(true);
      await harness.settle(near.when(() => near.flushes.at(-1) === 0));
      near.connection.reset();
      await harness.settle(listener.close());
    });

    it('receives nothing between pause and resume, also when paused within a read', async () => {
      const harness = await make();
      const { near, far, listener } = await pair(harness, (connection) => {
        const recorder = new Recorder(connection, 100);
        let paused = false;
        recorder.received = (bytes) => {
          expect(paused).toBe(false);
          Recorder.prototype.received.call(recorder, bytes);
          paused = true;
          connection.pause();
          harness.quiet().then(() => {
            paused = false;
            connection.resume();
          });
        };
        return recorder;
      });
      // A read before the first pause is copied in pieces: the pause strikes in the middle of it.
      near.connection.send([pattern(450)]);
      await harness.settle(far.when(() => far.receivedBytes === 450));
      expect(Buffer.concat(far.reads).equals(pattern(450))).toBe(true);
      near.connection.reset();
      await harness.settle(listener.close());
    });

    it('reads into the buffer that is asked for after a resume', async () => {
      const harness = await make();
      const small = Buffer.alloc(4);
      const large = Buffer.alloc(4096);
      let into = small;
      const { near, far, listener } = await pair(harness, (connection) => {
        const recorder = new Recorder(connection);
        recorder.buffer = () => into;
        recorder.received = (bytes) => {
          recorder.reads.push(Buffer.from(into.subarray(0, bytes)));
          recorder.receivedBytes += bytes;
          recorder.onEvent();
        };
        return recorder;
      });
      near.connection.send([Buffer.from('abcd')]);
      await harness.settle(far.when(() => far.receivedBytes === 4));
      far.connection.pause();
      into = large;
      far.connection.resume();
      near.connection.send([pattern(2000)]);
      await harness.settle(far.when(() => far.receivedBytes === 2004));
      expect(Buffer.concat(far.reads).subarray(4).equals(pattern(2000))).toBe(true);
      near.connection.reset();
      await harness.settle(listener.close());
    });

    it('ends after what was sent before: both see it once, and last', async () => {
      const harness = await make();
      const { near, far, listener } = await pair(harness);
      far.connection.send([pattern(200_000)]);
      near.connection.send([pattern(200_000)]);
      await harness.settle(near.when(() => near.receivedBytes === 200_000));
      near.connection.end();
      near.connection.send([Buffer.from('too late')]);
      await harness.settle(far.when(() => far.causes.length > 0));
      await harness.settle(near.when(() => near.causes.length > 0));
      expect(far.receivedBytes).toBe(200_000);
      near.connection.reset();
      far.connection.send([Buffer.from('too late')]);
      await harness.settle(harness.quiet());
      expect([near.causes, far.causes]).toEqual([['end'], ['end']]);
      await harness.settle(listener.close());
    });

    it('ends also when the one who ends is paused', async () => {
      const harness = await make();
      const { near, far, listener } = await pair(harness);
      near.connection.pause();
      far.connection.send([Buffer.from('never read')]);
      near.connection.end();
      await harness.settle(far.when(() => far.causes.length > 0));
      await harness.settle(near.when(() => near.causes.length > 0));
      expect([near.causes, far.causes, near.text]).toEqual([['end'], ['end'], '']);
      await harness.settle(listener.close());
    });

    it('resets: both ends see it, and nothing after it', async () => {
      const harness = await make();
      const { near, far, listener } = await pair(harness);
      near.connection.send([Buffer.from('x')]);
      await harness.settle(far.when(() => far.text === 'x'));
      near.connection.reset();
      expect(near.causes).toEqual([]);
      await harness.settle(far.when(() => far.causes.length > 0));
      await harness.settle(near.when(() => near.causes.length > 0));
      expect([near.causes, far.causes]).toEqual([['reset'], ['reset']]);
      const events = near.flushes.length;
      near.connection.send([Buffer.from('y')]);
      await harness.settle(harness.quiet());
      expect(near.flushes).toHaveLength(events);
      await harness.settle(listener.close());
    });

    it('refuses where nobody listens', async () => {
      const harness = await make();
      const listener = await harness.settle(harness.far.listen(harness.at, (connection) => new Recorder(connection)));
      await harness.settle(listener.close());
      const opened = Promise.withResolvers<Recorder>();
      harness.near.connect(listener.at, (connection) => {
        const near = new Recorder(connection);
        opened.resolve(near);
        return near;
      });
      const near = await harness.settle(opened.promise);
      await harness.settle(near.when(() => near.causes.length > 0));
      expect(near.causes).toEqual(['refused']);
    });

    it('gives up an attempt that is reset', async () => {
      const harness = await make();
      const { listener, near: first, far: firstFar } = await pair(harness);
      const opened = Promise.withResolvers<Recorder>();
      harness.near.connect(listener.at, (connection) => {
        const near = new Recorder(connection);
        connection.reset();
        opened.resolve(near);
        return near;
      });
      const near = await harness.settle(opened.promise);
      await harness.settle(near.when(() => near.causes.length > 0));
      expect(near.causes).toEqual(['reset']);
      first.connection.reset();
      await harness.settle(firstFar.when(() => firstFar.causes.length > 0));
      await harness.settle(listener.close());
    });

    it('listens once at an address, and again after a close, while connections stay open', async () => {
      const harness = await make();
      const { near, far, listener } = await pair(harness);
      const again = harness.far.listen(listener.at, (connection) => new Recorder(connection));
      await expect(harness.settle(again)).rejects.toMatchObject({ code: 'EEXIST' });
      await harness.settle(listener.close());
      const second = await harness.settle(harness.far.listen(listener.at, (connection) => new Recorder(connection)));
      near.connection.send([Buffer.from('still here')]);
      await harness.settle(far.when(() => far.text === 'still here'));
      near.connection.reset();
      await harness.settle(second.close());
    });
  });
}
