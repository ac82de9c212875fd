import type { Clock } from '#base/ports';

export function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => clock.timer(() => resolve()).arm(ms));
}
