/** The two systems, behind one shape: a single broker on an empty folder, with the durability it has by default. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ApacheKafka } from '../test/support/apache-kafka/apache-kafka.ts';
import { answersMetadata } from '../test/support/metadata-probe.ts';
import { freeAddress, OdradekProcess } from '../test/support/odradek-process.ts';

export interface Running {
  readonly bootstrap: string;
  readonly pid: number;
  /** From the process's start to its first metadata answer that names a broker. */
  readonly startMs: number;
  kill(): Promise<void>;
}

export interface System {
  readonly name: 'Odradek' | 'Apache Kafka';
  run(folder: string): Promise<Running>;
}

/** The published bin, fsync before every acknowledgement. */
export const odradek: System = {
  name: 'Odradek',
  run: async (folder) => {
    const address = await freeAddress();
    const settings = { 'group.initial.rebalance.delay.ms': '0' };
    const begun = performance.now();
    const node = OdradekProcess.spawn({ ...address, dataDir: join(folder, 'data'), settings });
    await answersMetadata(address.port, 30_000);
    const startMs = performance.now() - begun;
    return { bootstrap: node.bootstrap, pid: node.pid, startMs, kill: () => node.kill() };
  },
};

/** Acknowledges before the data is on disk, as it does by default. */
export function apacheKafka(jars: string): System {
  return {
    name: 'Apache Kafka',
    run: async (folder) => {
      mkdirSync(folder, { recursive: true });
      const kafka = await ApacheKafka.prepare(jars, folder);
      const begun = performance.now();
      await kafka.start();
      const startMs = performance.now() - begun;
      return { bootstrap: kafka.bootstrap, pid: kafka.pid, startMs, kill: () => kafka.kill() };
    },
  };
}
