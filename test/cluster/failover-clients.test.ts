/** Three trials of bench/failover each: for how long clients of default time-outs, writing all the time, notice a node's end. */
import { describe, expect, test } from 'vitest';
import { KINDS } from '../../bench/failover/kinds.ts';
import { measure } from '../../bench/failover/trials.ts';
import { quantile } from '../../bench/measure.ts';
import { loopbackSites } from '../support/cluster/sites.ts';
import { odradek } from '../support/cluster/systems.ts';
import { findKafkaJars, findPython, toolChain } from '../support/tool-chains.ts';
import { testFolder } from './support.ts';

const jars = await toolChain('failover, Java', findKafkaJars);
const python = await toolChain('failover, librdkafka', findPython);
/** The machine may have more to do. How much, its calm shows: where nothing happens and a client still waits, nothing can be quicker. */
const LENIENCE = 3;
const CALM_LENIENCE = 6;
/** Of three trials the middle one tells a cluster that is slow from a machine that stood still; nobody waits for a time-out of seconds. */
const WORST_MS = 6_000;
const plan = { trials: 3, windowMs: 1_500, calmMs: 1_000, progress: console.log };

describe.skipIf(jars === undefined || python === undefined)('a Java and a librdkafka producer go on soon after', () => {
  test.each(KINDS.filter(({ boundMs }) => boundMs !== undefined))('$what, and lose no write', async (kind) => {
    const chains = { jars: jars ?? '', python: python ?? '' };
    const sites = loopbackSites(kind.nodes);
    const { seen } = await measure(odradek, kind, { ...plan, folder: testFolder(), sites, chains });
    for (const { client, gapsMs, calmMs, errors } of seen) {
      expect(errors, client).toEqual([]);
      expect(gapsMs).toHaveLength(plan.trials);
      const boundMs = Math.max(LENIENCE * (kind.boundMs ?? Number.NaN), CALM_LENIENCE * quantile(calmMs, 0.5));
      expect(quantile(gapsMs, 0.5), client).toBeLessThan(boundMs);
      expect(quantile(gapsMs, 1), client).toBeLessThan(WORST_MS);
    }
  });
});
