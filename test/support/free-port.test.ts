import { expect, test } from 'vitest';
import { freePort, freePortWith } from './free-port.ts';

test('no port is given twice: whoever was given one may not listen yet', async () => {
  const ports: number[] = [];
  for (let count = 0; count < 200; count += 1) {
    const first = await freePortWith([0, 1]);
    ports.push(await freePort(), first, first + 1);
  }
  expect(new Set(ports).size).toBe(ports.length);
});
