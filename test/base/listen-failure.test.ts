import { describe, expect, it } from 'vitest';
import { listenFailure } from '#base/listen-failure';
import { toIoError } from '#platform/io-error';

const failure = (code: string): Error => Object.assign(new Error(`listen ${code}: as the system words it`), { code });

describe('an address that cannot be listened on', () => {
  it.each([
    ['EADDRINUSE', 'the address is in use'],
    ['EADDRNOTAVAIL', 'this machine has no such address'],
    ['EACCES', 'the port is one for the system, below 1024'],
    ['ENOTFOUND', 'the name has no address'],
  ])('for %s is explained, by the system or through the ports', (code, reason) => {
    expect(listenFailure(failure(code))).toBe(reason);
    expect(listenFailure(toIoError(failure(code)))).toBe(reason);
  });

  it('is explained where the ports have no cause, as in the simulator', () => {
    expect(listenFailure(failure('EEXIST'))).toBe('the address is in use');
  });

  it('has the sentence of the system otherwise', () => {
    expect(listenFailure(toIoError(failure('EBADF')))).toBe('listen EBADF: as the system words it');
    expect(listenFailure('odd')).toBe('odd');
  });
});
