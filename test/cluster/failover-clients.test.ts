/** Three trials of bench/failover each: for how long clients of default time-outs, writing all the time, notice a node's end. */
import { describe, expect, test } from 'vitest';
import { KINDS } from '../../bench/failover/kinds.ts';
import { loopbackSites } from '../../bench/failover/sites.ts';
import { odradek } from '../../bench/failover/systems.ts';
import { measure } from '../../bench/failover/trials.ts';
import { quantile } from '../../bench/measure.ts';
import { findKafkaJars, findPython, toolChain } from '../support/tool-chains.ts';
import { testFolder } from './support.ts';

const jars = await toolChain('failover, Java', findKafkaJars);
const python = await toolChain('failover, librdkafka', findPython);
/** The machine may have more to do. */
const LENIENCE = 3;
const plan = { trials: 3, windowMs: 1_500, calmMs: 500, progress: console.log };

describe.skipIf(jars === undefined || python === undefined)('a Java and a librdkafka producer go on soon after', () => {
  test.each(KINDS.filter(({ boundMs }) => boundMs !== undefined))('$what, and lose no write', async (kind) => {
    const chains = { jars: jars ?? '', python: python ?? '' };
    const sites = loopbackSites(kind.nodes);
    const { seen } = await measure(odradek, kind, { ...plan, folder: testFolder(), sites, chains });
    for (const { client, gapsMs, errors } of seen) {
      expect(errors, client).toEqual([]);
      expect(gapsMs).toHaveLength(plan.trials);
      expect(quantile(gapsMs, 1), client).toBeLessThan(LENIENCE * (kind.boundMs ?? Number.NaN));
    }
  });
});
