import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { at } from '#base/assert';
import { SimRandom } from '#sim/ports/sim-random';
import { Cluster } from '../test/support/cluster/cluster.ts';
import type { Links, Site } from '../test/support/cluster/sites.ts';
import { odradek } from '../test/support/cluster/systems.ts';
import { temporaryFolder } from '../test/support/temporary-folder.ts';
import type { Fault } from './faults/fault.ts';
import { mountsIn } from './faults/full-file-system.ts';
import { report } from './history/report.ts';
import { hasFailed, summary } from './report.ts';
import { type Trial, trial, unfinished } from './trial.ts';
import type { ToolChains, Workload } from './workloads/workload.ts';

export interface RoundPlan {
  readonly sites: readonly Site[];
  readonly links: Links | undefined;
  readonly faults: readonly Fault[];
  readonly workloads: readonly Workload[];
  readonly toolChains: ToolChains;
  /** The same draws the same targets, values and mixes. */
  readonly seed: string;
  /** Of histories; those of trials that failed are kept. */
  readonly folder: string;
  readonly calmMs: number;
  readonly faultMs: number;
  readonly progress: (line: string) => void;
}

const COMPLAINTS_TOLD = 5;

/** Small enough for closed segments, with their indexes, in a trial. */
const SETTINGS = { 'log.segment.bytes': String(1024 * 1024) };

/** A trial of each fault, on one cluster; after one that failed, or could not begin, on another. Whoever has enough of it leaves. */
export async function* round(plan: RoundPlan): AsyncGenerator<Trial, void> {
  const { faults, seed, folder, progress } = plan;
  const { links, workloads, toolChains, calmMs, faultMs } = plan;
  for (let next = 0; next < faults.length; ) {
    using data = temporaryFolder('jepsen');
    using _mounts = mountsIn(data.path);
    await using cluster = Cluster.start(await odradek.prepare(data.path, plan.sites, SETTINGS));
    for (let isWhole = true; isWhole && next < faults.length; next += 1) {
      const fault = at(faults, next);
      const times = faults.slice(0, next).filter(({ name }) => name === fault.name).length;
      const name = `${seed}-${fault.name}${times === 0 ? '' : `-${times + 1}`}`;
      const own = join(folder, name);
      const random = new SimRandom(name);
      const about = { cluster, links, fault, workloads, toolChains, random, name, folder: own, calmMs, faultMs };
      const done = await cluster.registered().then(
        () => trial(about),
        (failure: Error) => unfinished(about, failure),
      );
      isWhole = !hasFailed(summary(done));
      progress(`${fault.name}: ${isWhole ? 'passed' : `FAILED, see ${own}/verdict`}`);
      if (isWhole) {
        rmSync(own, { recursive: true });
      } else {
        writeFileSync(join(own, 'verdict'), [report(done.verdict), ...done.complaints, cluster.logs].join('\n'));
        progress(done.complaints.slice(0, COMPLAINTS_TOLD).join('\n'));
      }
      yield done;
    }
    // Whatever a trial has left of its fault is not for the next cluster.
    for (const site of plan.sites) site.join();
    links?.restore();
  }
}
