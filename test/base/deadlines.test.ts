import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Deadlines } from '#base/deadlines';
import type { Clock } from '#base/ports';

/** A clock whose only timer is fired by hand. */
class HandClock implements Clock {
  time = 0;
  due: number | undefined;
  #fire: (lateMs: number) => void = () => {};
  now(): number {
    return this.time;
  }
  wall(): number {
    return this.time;
  }
  timer(fire: (lateMs: number) => void) {
    this.#fire = fire;
    return {
      arm: (delayMs: number) => {
        this.due = this.time + delayMs;
      },
      disarm: () => {
        this.due = undefined;
      },
    };
  }
  defer(): void {}
  runAll(): void {
    while (this.due !== undefined) {
      this.time = this.due;
      this.due = undefined;
      this.#fire(0);
    }
  }
}

describe('deadlines', () => {
  it('run once, at their time, in order, unless cancelled', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ delay: fc.integer({ min: 0, max: 1000 }), cancel: fc.boolean() }), { maxLength: 300 }),
        (plan) => {
          const clock = new HandClock();
          const deadlines = new Deadlines(clock);
          const ran: number[] = [];
          const made = plan.map(({ delay }) => deadlines.after(delay, () => ran.push(clock.time)));
          plan.forEach(({ cancel }, index) => {
            const deadline = made[index];
            if (cancel && deadline !== undefined) deadlines.cancel(deadline);
          });
          clock.runAll();
          const expected = plan.filter(({ cancel }) => !cancel).map(({ delay }) => delay);
          expect(ran).toEqual(expected.sort((a, b) => a - b));
        },
      ),
    );
  });

  it('may be made and cancelled by the one that runs', () => {
    const clock = new HandClock();
    const deadlines = new Deadlines(clock);
    const ran: string[] = [];
    const victim = deadlines.after(5, () => ran.push('victim'));
    deadlines.after(1, () => {
      deadlines.cancel(victim);
      deadlines.after(1, () => ran.push('second'));
    });
    clock.runAll();
    expect(ran).toEqual(['second']);
    expect(clock.time).toBeLessThanOrEqual(5);
  });
});
