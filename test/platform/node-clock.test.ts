import { connect } from 'node:net';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { NodeClock } from '#platform/node-clock';

const clock = new NodeClock();

/** Resolves with what the timer says, and when. */
function fired(arm: (timer: ReturnType<NodeClock['timer']>) => void): Promise<{ at: number; lateMs: number }> {
  return new Promise((resolve) => arm(clock.timer((lateMs) => resolve({ at: clock.now(), lateMs }))));
}

describe('the clock', () => {
  it('never goes back', () => {
    let last = clock.now();
    for (let index = 0; index < 10_000; index++) {
      const now = clock.now();
      expect(now).toBeGreaterThanOrEqual(last);
      last = now;
    }
  });

  it('runs what is deferred in a turn of its own', async () => {
    const order: string[] = [];
    const ran = new Promise<void>((resolve) => {
      clock.defer(() => {
        order.push('deferred');
        resolve();
      });
    });
    order.push('called');
    await ran;
    expect(order).toEqual(['called', 'deferred']);
  });
});

describe('a timer', () => {
  it('fires not before its due time, and says how much later', async () => {
    const start = clock.now();
    const { at, lateMs } = await fired((timer) => timer.arm(15));
    expect(at - start).toBeGreaterThanOrEqual(15);
    expect(lateMs).toBeGreaterThanOrEqual(0);
    expect(at - lateMs - start).toBeCloseTo(15, 0);
  });

  it('moves later and earlier when it is armed again, and fires once', async () => {
    const start = clock.now();
    const later = await fired((timer) => {
      timer.arm(1);
      timer.arm(20);
    });
    expect(later.at - start).toBeGreaterThanOrEqual(20);
    const second = clock.now();
    const earlier = await fired((timer) => {
      timer.arm(60_000);
      timer.arm(5);
    });
    expect(earlier.at - second).toBeLessThan(30_000);
  });

  it('can be armed from its own firing, with the same delay or another', async () => {
    const delays = [3, 3, 7, 1];
    const start = clock.now();
    await new Promise<void>((resolve) => {
      const timer = clock.timer(() => {
        const next = delays.shift();
        if (next === undefined) resolve();
        else timer.arm(next);
      });
      timer.arm(2);
    });
    expect(clock.now() - start).toBeGreaterThanOrEqual(2 + 3 + 3 + 7 + 1);
  });

  it('does not fire once it is disarmed, and fires when it is armed again', async () => {
    let count = 0;
    const timer = clock.timer(() => {
      count += 1;
    });
    timer.arm(1);
    timer.disarm();
    await fired((other) => other.arm(10));
    expect(count).toBe(0);
    const other = fired((later) => later.arm(12));
    timer.arm(2);
    await other;
    expect(count).toBe(1);
  });

  it('after a stall fires behind the bytes that were waiting in the socket', async () => {
    const written = new Int32Array(new SharedArrayBuffer(4));
    const peer = new Worker(PEER, { eval: true, workerData: written });
    const port = await new Promise<number>((resolve) => peer.once('message', resolve));
    const socket = connect(port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    const order: string[] = [];
    socket.on('data', () => order.push('bytes'));
    const timerFired = fired((timer) => {
      setImmediate(() => {
        timer.arm(5);
        peer.postMessage('write');
        // This loop stands still until the bytes are here and the timer is due.
        Atomics.wait(written, 0, 0);
        for (const due = clock.now() + 10; clock.now() < due; );
      });
    });
    await timerFired.then(() => order.push('timer'));
    expect(order).toEqual(['bytes', 'timer']);
    socket.destroy();
    await peer.terminate();
  });
});

/** Another thread's server: writes a heartbeat when told to, and says so once the kernel has it. */
const PEER = `
  const { parentPort, workerData } = require('node:worker_threads');
  const server = require('node:net').createServer((socket) => {
    parentPort.once('message', () => {
      socket.write('heartbeat', () => {
        Atomics.store(workerData, 0, 1);
        Atomics.notify(workerData, 0);
      });
    });
  });
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));
`;
