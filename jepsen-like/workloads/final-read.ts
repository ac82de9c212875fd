import type { Endpoint } from '#base/ports';
import type { Recorder } from '#history/recorder';
import { sleep } from '../../test/support/process.ts';
import { Session } from './session.ts';
import { fetchCommitted } from './wire-consumer.ts';

const RETRY_MS = 100;

/**
 * A fresh client reads all partitions of these topics from their beginning to their end, as process `p`; gives what could not be read
 * before the time was up.
 */
export async function readEverything(
  recorder: Recorder,
  p: number,
  bootstrap: readonly Endpoint[],
  topics: readonly { readonly name: string; readonly partitions: number }[],
  timeoutMs: number,
): Promise<readonly string[]> {
  const session = new Session(bootstrap, p);
  const deadline = performance.now() + timeoutMs;
  const unread: string[] = [];
  recorder.client({ p, isolation: 'read_committed', final: true });
  for (const { name, partitions } of topics) {
    for (let partition = 0; partition < partitions; partition += 1) {
      const why = await readPartition(recorder, p, session, name, partition, deadline);
      if (why !== undefined) unread.push(`${name}-${partition} was not read to its end: ${why}`);
    }
  }
  session.close();
  return unread;
}

/** Undefined at the end. */
async function readPartition(
  recorder: Recorder,
  p: number,
  session: Session,
  topic: string,
  partition: number,
  deadline: number,
): Promise<string | undefined> {
  const key = `${topic}-${partition}`;
  recorder.invoke({ p, f: 'assign', ops: [['assign', key, 0]] });
  recorder.complete('ok', { p });
  let position = 0;
  let last = 'undecided transactions';
  while (performance.now() < deadline) {
    recorder.invoke({ p, f: 'poll', ops: [['poll']] });
    const fetched = await fetchCommitted(session, topic, partition, position).catch((broken: Error) => broken);
    if (fetched instanceof Error) {
      recorder.complete('fail', { p, error: fetched.message });
      return fetched.message;
    }
    if (typeof fetched === 'string') {
      recorder.complete('fail', { p, error: fetched });
      last = fetched;
      await sleep(RETRY_MS);
      continue;
    }
    position = fetched.position;
    recorder.complete('ok', { p, ops: [['poll', { [key]: fetched.records }]] });
    if (fetched.isAtEnd) return undefined;
  }
  return last;
}
