/** The two systems, behind one shape: one broker or three on an empty folder, with the durability they have by default. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ApacheKafka } from '../test/support/apache-kafka/apache-kafka.ts';
import { Cluster } from '../test/support/cluster/cluster.ts';
import { loopbackSites } from '../test/support/cluster/sites.ts';
import * as failover from '../test/support/cluster/systems.ts';
import { answersMetadata } from '../test/support/metadata-probe.ts';
import { freeAddress, OdradekProcess } from '../test/support/odradek-process.ts';

export interface Running {
  readonly bootstrap: string;
  /** Of every broker. */
  readonly pids: readonly number[];
  /** From the process's start to its first metadata answer that names a broker. */
  readonly startMs: number;
  kill(): Promise<void>;
}

export interface System {
  readonly name: 'Odradek' | 'Apache Kafka';
  run(folder: string): Promise<Running>;
  /** Three brokers in three racks, which are controllers too. */
  runThree(folder: string): Promise<Running>;
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
    return { bootstrap: node.bootstrap, pids: [node.pid], startMs, kill: () => node.kill() };
  },
  runThree: (folder) => three(failover.odradek, folder),
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
      return { bootstrap: kafka.bootstrap, pids: [kafka.pid], startMs, kill: () => kafka.kill() };
    },
    runThree: (folder) => three(failover.apacheKafka(jars), folder),
  };
}

async function three(system: failover.System, folder: string): Promise<Running> {
  const begun = performance.now();
  const cluster = Cluster.start(await system.prepare(folder, loopbackSites(3)));
  await cluster.registered();
  const startMs = performance.now() - begun;
  return { bootstrap: cluster.bootstrapWithout(), pids: cluster.pids, startMs, kill: () => cluster.killAll() };
}
