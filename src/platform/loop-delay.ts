/** Timers run so often; what keeps the loop for longer is always seen. */
const INTERVAL_MS = 50;

/** Tells, in seconds, how late the loop comes to what is due, for as long as the process lives; keeps nothing alive. */
export function observeLoopDelay(delays: { observe(seconds: number): void }): void {
  let dueAt = performance.now() + INTERVAL_MS;
  setInterval(() => {
    const now = performance.now();
    delays.observe(Math.max(0, now - dueAt) / 1000);
    dueAt = now + INTERVAL_MS;
  }, INTERVAL_MS).unref();
}
