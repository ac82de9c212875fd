import { describe, expect, test } from 'vitest';
import type { Connection, Receiver } from '#base/ports';
import { knock } from '#runtime/knock';
import { FakeClock } from './fake-clock.ts';

const AT = { host: 'far', port: 9092 };
const LIMIT_MS = 300;

/** A network with one dial, whose fate the test decides. */
class Door {
  readonly clock = new FakeClock();
  readonly given: string[] = [];
  receiver: Receiver | undefined;
  resets = 0;
  readonly #connection = {
    reset: () => {
      this.resets += 1;
      this.receiver?.closed('reset');
    },
  } as unknown as Connection;
  #open: ((connection: Connection) => Receiver) | undefined;
  readonly giveUp: () => void;

  constructor() {
    const network = {
      connect: (_at: unknown, open: (connection: Connection) => Receiver) => {
        this.#open = open;
      },
    };
    this.giveUp = knock({ clock: this.clock, network }, AT, LIMIT_MS, (result) => this.given.push(result));
  }

  dial(): void {
    this.receiver = this.#open?.(this.#connection);
  }
}

describe('a knock', () => {
  test('is refused where nobody listens', () => {
    const door = new Door();
    door.dial();
    door.receiver?.closed('refused');
    door.clock.advance(LIMIT_MS);
    expect(door.given).toEqual(['refused']);
  });

  test.each(['end', 'reset', 'timeout', 'error'] as const)('tells nothing if the connection goes by %s', (cause) => {
    const door = new Door();
    door.dial();
    door.receiver?.closed(cause);
    expect(door.given).toEqual(['error']);
  });

  test('tells nothing if the connection is still there in the end, and hangs up', () => {
    const door = new Door();
    door.dial();
    door.clock.advance(LIMIT_MS - 1);
    expect(door.given).toEqual([]);
    door.clock.advance(1);
    expect([door.given, door.resets]).toEqual([['error'], 1]);
  });

  test('hangs up at once on a connection that comes too late', () => {
    const door = new Door();
    door.giveUp();
    door.dial();
    expect([door.given, door.resets]).toEqual([['error'], 1]);
  });
});
