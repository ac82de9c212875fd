/** Groups of both protocols on three nodes, by Apache Kafka 4.3.1's verifiable consumer, seen and changed by its group tool. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { until } from '../support/process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { findKafkaJars, toolChain } from '../support/tool-chains.ts';
import { numbered, uniqueName } from './support/broker.ts';
import { Bystander } from './support/bystander.ts';
import { runTool, Tool } from './support/java.ts';
import { RunningTool } from './support/running-tool.ts';
import { threeNodes } from './support/three-nodes.ts';

const jars = (await toolChain('Java tools', findKafkaJars)) ?? '';
const bootstrap = threeNodes(jars !== '');
const bystander = new Bystander(bootstrap);
const partitions = [0, 1, 2, 3];
const hourMs = 3_600_000;

/** What the group tool prints; fails if its exit status is another one. */
async function groupTool(args: readonly string[], status = 0): Promise<string> {
  const outcome = await runTool(jars, Tool.ConsumerGroup, ['--bootstrap-server', bootstrap(), ...args]);
  expect(outcome.status, outcome.output).toBe(status);
  return outcome.output;
}

interface OnPartition {
  readonly topic: string;
  readonly partition: number;
}

/** One process of a group. */
class Member {
  readonly tool: RunningTool;

  constructor(topic: string, groupId: string, settings: readonly string[]) {
    const at = ['--bootstrap-server', bootstrap(), '--topic', topic, '--group-id', groupId];
    this.tool = RunningTool.start(jars, Tool.VerifiableConsumer, [...at, '--reset-policy', 'earliest', ...settings]);
  }

  /** By its account of what it was given and what was taken from it; incremental rebalances tell the difference only. */
  get owned(): readonly number[] {
    const owned = new Set<number>();
    for (const { name, partitions: told } of this.tool.events) {
      const changed = (told ?? []) as readonly OnPartition[];
      if (name === 'partitions_assigned') for (const { partition } of changed) owned.add(partition);
      if (name === 'partitions_revoked' || name === 'partitions_lost') {
        for (const { partition } of changed) owned.delete(partition);
      }
    }
    return [...owned].sort();
  }

  get consumed(): number {
    const counts = this.tool.events.filter(({ name }) => name === 'records_consumed').map(({ count }) => Number(count));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  async owns(count: number): Promise<void> {
    await this.tool.reaches(`${count} partitions`, () => (this.owned.length === count ? true : undefined));
  }
}

function toEach(name: string, count: number) {
  return partitions.flatMap((partition) => numbered(`${name}-`, count).map((value) => ({ partition, value })));
}

const protocols = {
  eager: ['--group-protocol', 'classic', '--session-timeout', '6000'],
  cooperative: [
    ...['--group-protocol', 'classic', '--session-timeout', '6000'],
    ...['--assignment-strategy', 'org.apache.kafka.clients.consumer.CooperativeStickyAssignor'],
  ],
  'KIP-848': ['--group-protocol', 'consumer'],
} as const;
const assignors = { eager: 'range', cooperative: 'cooperative-sticky', 'KIP-848': 'uniform' } as const;

describe.skipIf(jars === '')('Java groups', () => {
  describe.each(Object.entries(protocols))('%s', (name, settings) => {
    test('two verifiable consumers share; when one is gone the other has everything, and the group tool sees it all', async () => {
      const topic = await bystander.createTopic(partitions.length);
      const groupId = uniqueName('group');
      const one = new Member(topic, groupId, settings);
      const two = new Member(topic, groupId, settings);
      await Promise.all([one.owns(2), two.owns(2)]);
      expect([...one.owned, ...two.owned].sort()).toEqual(partitions);
      await bystander.write(topic, toEach('a', 25));
      await until('the records', 30_000, () => (one.consumed + two.consumed >= 100 ? true : undefined));
      await until('the commits', 30_000, async () =>
        (await bystander.committed(groupId, topic)).join() === '25,25,25,25' ? true : undefined,
      );

      const ofGroup = ['--describe', '--group', groupId];
      const [offsets, members, state, active] = await Promise.all([
        groupTool(ofGroup),
        groupTool([...ofGroup, '--members', '--verbose']),
        groupTool([...ofGroup, '--state']),
        runTool(jars, Tool.ConsumerGroup, [
          ...['--bootstrap-server', bootstrap(), '--group', groupId, '--topic', topic],
          ...['--reset-offsets', '--to-earliest', '--execute'],
        ]),
      ]);
      for (const partition of partitions) {
        expect(offsets).toMatch(new RegExp(`${groupId} +${topic} +${partition} +25 +25 +0 +\\S+ +/127\\.0\\.0\\.1 `));
      }
      // A KIP-848 group is listed with what each member has, and with what it is to have.
      const lists = name === 'KIP-848' ? 4 : 2;
      expect(members.match(new RegExp(`${topic}[(:]\\d,\\d`, 'g')), members).toHaveLength(lists);
      expect(state).toMatch(
        new RegExp(`${groupId} .*\\([123]\\) +${assignors[name as keyof typeof assignors]} +Stable .* 2`),
      );
      expect(active.output).toMatch(/can only be reset if the group .* is inactive/);
      expect(await bystander.committed(groupId, topic)).toEqual([25, 25, 25, 25]);

      // A crash costs a session time-out, which a member of a KIP-848 group cannot choose: there it says goodbye.
      if (name === 'KIP-848') await one.tool.stop();
      else await one.tool.kill();
      await two.owns(4);
      await bystander.write(topic, toEach('b', 25));
      await until('the commits of one', 30_000, async () =>
        (await bystander.committed(groupId, topic)).join() === '50,50,50,50' ? true : undefined,
      );
      await two.tool.stop();
      const [empty, list] = await Promise.all([
        groupTool([...ofGroup, '--state']),
        groupTool(['--list', '--state', '--type', name === 'KIP-848' ? 'consumer' : 'classic']),
      ]);
      expect(empty).toMatch(new RegExp(`${groupId} .* Empty .* 0`));
      expect(list).toMatch(new RegExp(`${groupId} +${name === 'KIP-848' ? 'Consumer' : 'Classic'} +Empty`));
    });
  });

  describe('offsets are reset', () => {
    const groupId = uniqueName('group');
    const folder = temporaryFolder('java-groups');
    let topic = '';

    /** The offset of each partition that the tool gives in its table. */
    async function reset(...form: readonly string[]): Promise<readonly number[]> {
      const output = await groupTool(['--reset-offsets', '--group', groupId, '--topic', topic, ...form]);
      const rows = [...output.matchAll(new RegExp(`${groupId} +${topic} +(\\d) +(\\d+)`, 'g'))];
      return rows.sort(([, a = ''], [, b = '']) => a.localeCompare(b)).map(([, , offset]) => Number(offset));
    }

    test('in each of their forms, in rehearsal', async () => {
      topic = await bystander.createTopic(2);
      // Ten records, one an hour, the last of them an hour ago.
      const now = Date.now();
      const hourly = Array.from({ length: 10 }, (_, index) => `${now - (10 - index) * hourMs}`);
      const messages = [0, 1].flatMap((partition) => hourly.map((timestamp) => ({ partition, timestamp, value: 'x' })));
      await bystander.write(topic, messages);
      await bystander.commit(groupId, topic, [7, 6]);
      const forms: readonly (readonly [readonly string[], readonly number[]])[] = [
        [['--to-earliest'], [0, 0]],
        [['--to-latest'], [10, 10]],
        [['--to-current'], [7, 6]],
        [
          ['--to-offset', '4'],
          [4, 4],
        ],
        [
          ['--to-offset', '99'],
          [10, 10],
        ],
        [
          ['--shift-by', '-3'],
          [4, 3],
        ],
        [
          ['--shift-by', '2'],
          [9, 8],
        ],
        [
          ['--by-duration', 'PT5H30M'],
          [5, 5],
        ],
        [
          ['--to-datetime', new Date(now - 2.5 * hourMs).toISOString()],
          [8, 8],
        ],
      ];
      // As many at a time as make use of two cores.
      for (let index = 0; index < forms.length; index += 3) {
        const some = forms.slice(index, index + 3);
        const found = await Promise.all(some.map(([form]) => reset(...form, '--dry-run')));
        expect(found).toEqual(some.map(([, offsets]) => offsets));
      }
      expect(await bystander.committed(groupId, topic)).toEqual([7, 6]);
    });

    test('for good, also as an earlier export says; one partition alone, and not beside members', async () => {
      expect(await reset('--shift-by', '-2', '--execute')).toEqual([5, 4]);
      expect(await bystander.committed(groupId, topic)).toEqual([5, 4]);
      const exported = await groupTool([
        '--reset-offsets',
        '--group',
        groupId,
        '--topic',
        topic,
        '--to-current',
        '--export',
      ]);
      const lines = exported.split('\n').filter((line) => line.includes(`"${topic}"`) || line.startsWith(`${topic},`));
      expect(lines).toHaveLength(2);
      const file = join(folder.path, 'offsets.csv');
      writeFileSync(file, lines.join('\n'));
      await bystander.commit(groupId, topic, [1, 1]);
      await groupTool(['--reset-offsets', '--group', groupId, '--from-file', file, '--execute']);
      expect(await bystander.committed(groupId, topic)).toEqual([5, 4]);
      await groupTool(['--reset-offsets', '--group', groupId, '--topic', `${topic}:1`, '--to-latest', '--execute']);
      expect(await bystander.committed(groupId, topic)).toEqual([5, 10]);
      const deleted = await groupTool(['--delete-offsets', '--group', groupId, '--topic', `${topic}:0`]);
      expect(deleted).toMatch(new RegExp(`${topic} +0 +Successful`));
      expect(await bystander.committed(groupId, topic)).toEqual([-1, 10]);
      expect(await groupTool(['--delete', '--group', groupId])).toMatch(/successful/);
      expect(await groupTool(['--describe', '--group', groupId])).toMatch(/GroupIdNotFound/);
      folder[Symbol.dispose]();
    });
  });
});
