import type { Clock, Endpoint, Network } from '#base/ports';

/** Nothing is ever read: who listens there gets no word to answer. */
const UNREAD = new Uint8Array(1);

/**
 * Whether anybody listens at an address, of whatever protocol: a connection that says nothing. `give` is called once; 'refused': nobody
 * does, 'error': after `limitMs`, or an end of another kind, nothing is known. Returns what gives it up, which is an 'error' too.
 */
export function knock(
  { clock, network }: { readonly clock: Pick<Clock, 'timer'>; readonly network: Pick<Network, 'connect'> },
  at: Endpoint,
  limitMs: number,
  give: (result: 'refused' | 'error') => void,
): () => void {
  let isOver = false;
  let hangUp = (): void => {};
  const timer = clock.timer(() => end('error'));
  timer.arm(limitMs);
  network.connect(at, (connection) => {
    if (isOver) connection.reset();
    else hangUp = () => connection.reset();
    return {
      buffer: () => UNREAD,
      received() {},
      flushed() {},
      closed: (cause) => end(cause === 'refused' ? cause : 'error'),
    };
  });
  return () => end('error');

  function end(result: 'refused' | 'error'): void {
    if (isOver) return;
    isOver = true;
    timer.disarm();
    hangUp();
    give(result);
  }
}
