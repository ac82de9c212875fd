/**
 * A shard with its log, driven by lines of text; its answers are text as well. The language is in
 * transcripts/README.md.
 */

import { CONSUMER_PROTOCOL_TYPE, subscriptionTopics } from '#coordinator/consumer-protocol';
import type { CoordinatorRecord, Effects, Instant, Reply } from '#coordinator/effects';
import { coordinatorError } from '#coordinator/failures';
import type { MemberProtocol } from '#coordinator/group-commands';
import type { GroupConfig } from '#coordinator/group-config';
import { readGroupRecord } from '#coordinator/group-records';
import { GroupShard } from '#coordinator/group-shard';
import { ErrorCode, errorName } from '#model/errors';
import { type Uuid, ZERO_UUID } from '#model/ids';
import { countingRandom, subscription, testConfig, testParts } from './fixtures.ts';

const UUID = /-0{8}-0{4}-40{3}-80{3}-([0-9a-f]{12})/g;
const WALL_AT_START = 1_700_000_000_000;

interface Line {
  readonly verb: string;
  readonly words: readonly string[];
  option(name: string): string | undefined;
  number(name: string, otherwise: number): number;
}

export class ScriptedShard {
  readonly log: CoordinatorRecord[] = [];
  #config: GroupConfig = testConfig();
  #random = countingRandom();
  #shard = this.#newShard();
  #now = 1_000;
  #token = 0;
  #refusal: ErrorCode | undefined;

  /** Runs one command; gives the lines of its effects. */
  run(text: string): string[] {
    const line = parse(text);
    return this.#execute(line).map((answer) => answer.replace(UUID, (_, hex) => `-${Number.parseInt(hex, 16)}`));
  }

  #execute(line: Line): string[] {
    const groupId = line.words[0] === '""' ? '' : (line.words[0] ?? '');
    const memberId = expand(line.words[1] ?? '-');
    const groupInstanceId = line.option('as') ?? null;
    const generationId = line.number('gen', -1);
    switch (line.verb) {
      case 'config':
        this.#config = {
          ...this.#config,
          ...Object.fromEntries(line.words.map((word) => [word.split('=')[0], Number(word.split('=')[1])])),
        };
        this.#shard = this.#newShard();
        return [];
      case 'join': {
        const type = line.option('type') ?? CONSUMER_PROTOCOL_TYPE;
        const sessionTimeoutMs = line.number('session', 10_000);
        const command = {
          groupId,
          sessionTimeoutMs,
          rebalanceTimeoutMs: line.number('rebalance', 60_000),
          memberId,
          groupInstanceId,
          protocolType: type,
          protocols: parseProtocols(line.option('protocols') ?? 'range:orders', type),
          clientId: line.option('client') ?? 'c',
          clientHost: '/127.0.0.1',
          memberIdRequired: !line.words.includes('v3'),
          skipAssignmentKnown: !line.words.includes('v8'),
        };
        return this.#carryOut(this.#shard.joinGroup(command, this.#nextToken(), this.#instant()));
      }
      case 'sync': {
        const command = {
          groupId,
          generationId,
          memberId,
          groupInstanceId,
          protocolType: line.option('type') ?? null,
          protocolName: line.option('protocol') ?? null,
          assignments: (line.option('assign') ?? '')
            .split(',')
            .filter(Boolean)
            .map((pair) => {
              const [member = '', assignment = ''] = pair.split(':');
              return { memberId: expand(member), assignment: Buffer.from(assignment) };
            }),
        };
        return this.#carryOut(this.#shard.syncGroup(command, this.#nextToken(), this.#instant()));
      }
      case 'beat': {
        const command = { groupId, generationId, memberId, groupInstanceId };
        return [`  ${errorName(this.#shard.heartbeat(command, this.#instant()).errorCode)}`];
      }
      case 'leave': {
        const members = line.words.slice(1).map((word) => {
          const [id = '', instance] = word.split('/');
          return { memberId: expand(id), groupInstanceId: instance ?? null };
        });
        const outcome = this.#shard.leaveGroup({ groupId, members }, this.#instant());
        const answers = outcome.response.members.map(
          (member) =>
            `  ${member.memberId || '-'}${member.groupInstanceId === null ? '' : `/${member.groupInstanceId}`} ${errorName(member.errorCode)}`,
        );
        if (outcome.response.errorCode !== ErrorCode.None) answers.push(`  ${errorName(outcome.response.errorCode)}`);
        return [...answers, ...this.#carryOut(outcome)];
      }
      case 'commit': {
        const partitions = line.words.filter((word) => /^\w+-\d+=/.test(word));
        const outcome = this.#shard.offsetCommit(
          {
            groupId,
            generationIdOrMemberEpoch: generationId,
            memberId: line.words[1]?.includes('=') === false ? memberId : '',
            groupInstanceId,
            retentionTimeMs: line.number('retention', -1),
            staleEpochKnown: true,
            topics: partitions.map((word) => {
              const [topic, partition, offset] = parsePartition(word);
              return {
                name: topic,
                topicId: (line.option('id') as Uuid | undefined) ?? ZERO_UUID,
                partitions: [
                  {
                    partitionIndex: partition,
                    committedOffset: offset,
                    committedLeaderEpoch: line.number('epoch', -1),
                    committedMetadata: line.option('metadata') ?? null,
                  },
                ],
              };
            }),
          },
          this.#instant(),
        );
        const answers = outcome.response.topics.flatMap(({ name, partitions: results }) =>
          results.map(({ partitionIndex, errorCode }) => `  ${name}-${partitionIndex} ${errorName(errorCode)}`),
        );
        return [...answers, ...this.#carryOut(outcome)];
      }
      case 'fetch': {
        const wanted = line.words.slice(1).filter((word) => /^\w+-\d+$/.test(word));
        const response = this.#shard.offsetFetch({
          groupId,
          topics: line.words.includes('all')
            ? null
            : wanted.map((word) => {
                const [name, partition] = parsePartition(word);
                return {
                  name,
                  topicId: (line.option('id') as Uuid | undefined) ?? ZERO_UUID,
                  partitionIndexes: [partition],
                };
              }),
          memberId: null,
          memberEpoch: -1,
          requireStable: false,
        });
        return response.topics.flatMap(({ name, partitions }) =>
          partitions.map(
            (each) =>
              `  ${name}-${each.partitionIndex} ${each.committedOffset} epoch=${each.committedLeaderEpoch} metadata=${each.metadata}`,
          ),
        );
      }
      case 'offset-delete': {
        const outcome = this.#shard.offsetDelete({
          groupId,
          topics: line.words.slice(1).map((word) => {
            const [name, partitionIndex] = parsePartition(word);
            return { name, partitions: [{ partitionIndex }] };
          }),
        });
        const { errorCode, topics } = outcome.response;
        const answers = topics.flatMap(({ name, partitions }) =>
          partitions.map((each) => `  ${name}-${each.partitionIndex} ${errorName(each.errorCode)}`),
        );
        if (errorCode !== ErrorCode.None) answers.push(`  ${errorName(errorCode)}`);
        return [...answers, ...this.#carryOut(outcome)];
      }
      case 'topic-deleted':
        return this.#carryOut(
          this.#shard.topicsDeleted([{ name: groupId, id: (line.option('id') as Uuid | undefined) ?? ZERO_UUID }]),
        );
      case 'delete': {
        const outcome = this.#shard.deleteGroups(line.words.map((word) => (word === '""' ? '' : word)));
        const answers = outcome.response.map((each) => `  ${each.groupId || '""'} ${errorName(each.errorCode)}`);
        return [...answers, ...this.#carryOut(outcome)];
      }
      case 'list':
        return this.#shard
          .listGroups({
            statesFilter: (line.option('states') ?? '').split(',').filter(Boolean),
            typesFilter: (line.option('types') ?? '').split(',').filter(Boolean),
          })
          .map((each) => `  ${each.groupId} ${each.groupState} ${each.groupType} type=${each.protocolType}`);
      case 'describe':
        return this.#shard
          .describeGroups(line.words)
          .flatMap((each) => [
            `  ${each.groupId} ${each.groupState} ${errorName(each.errorCode)} type=${each.protocolType} protocol=${each.protocolData}`,
            ...each.members.map(
              (member) =>
                `    ${member.memberId} as=${member.groupInstanceId} client=${member.clientId} host=${member.clientHost} ` +
                `metadata=${readMetadata(member.memberMetadata)} assignment=${text(member.memberAssignment)}`,
            ),
          ]);
      case 'wait':
        return this.#wait(Number(line.words[0]), line.number('stalled', 0));
      case 'refuse':
        this.#refusal = Object.entries(ErrorCode).find(([name]) => name === line.words[0])?.[1];
        return [];
      case 'resign': {
        const replies = this.#shard.resign(ErrorCode.NotCoordinator);
        return replies.map(replyText);
      }
      case 'reload': {
        this.#shard = this.#newShard();
        for (const record of this.log) this.#shard.replay(record);
        return this.#carryOut(this.#shard.loaded(this.#instant()));
      }
      default:
        throw new Error(`no such command: ${line.verb}`);
    }
  }

  /** Time passes; what falls due in between runs when it does. */
  #wait(ms: number, stalledMs: number): string[] {
    const until = this.#now + ms;
    const answers: string[] = [];
    let lateMs = stalledMs;
    for (let ticks = 0; ; ticks += 1) {
      if (ticks > 10_000) throw new Error('ticks without end');
      const due = this.#shard.nextDeadline() + lateMs;
      if (due > until) break;
      this.#now = Math.max(this.#now, due);
      answers.push(
        ...this.#carryOut(this.#shard.tick(this.#instant(), lateMs)).map(
          (each) => `  ${this.#now - until + ms} ms: ${each.trimStart()}`,
        ),
      );
      lateMs = 0;
    }
    this.#now = until;
    return answers;
  }

  #carryOut(effects: Effects): string[] {
    if (effects.records.length > 0 && this.#refusal !== undefined) {
      const error = this.#refusal;
      this.#refusal = undefined;
      return [
        `  refused ${errorName(error)}, answered ${errorName(coordinatorError(error))}`,
        ...this.#carryOut(this.#shard.refused(effects, error, this.#instant())),
      ];
    }
    const lines = effects.records.map(recordText);
    for (const record of effects.records) {
      this.log.push(record);
      this.#shard.replay(record);
    }
    return [...lines, ...effects.replies.map(replyText)];
  }

  #newShard(): GroupShard {
    const shard = new GroupShard({ ...testParts(), config: this.#config, random: this.#random });
    if (this.log.length === 0) shard.loaded({ mono: 1_000, wall: WALL_AT_START });
    return shard;
  }

  #nextToken(): number {
    this.#token += 1;
    return this.#token;
  }

  #instant(): Instant {
    return { mono: this.#now, wall: WALL_AT_START + this.#now };
  }
}

function parse(line: string): Line {
  const [verb = '', ...words] = line.split(' ').filter(Boolean);
  const option = (name: string) => words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
  return { verb, words, option, number: (name, otherwise) => Number(option(name) ?? otherwise) };
}

/** `c-3` stands for the third member id made, `-` for none. */
function expand(memberId: string): string {
  if (memberId === '-') return '';
  return memberId.replace(
    /-(\d+)$/,
    (_, count) => `-00000000-0000-4000-8000-${Number(count).toString(16).padStart(12, '0')}`,
  );
}

function parseProtocols(spec: string, type: string): MemberProtocol[] {
  return spec
    .split(',')
    .filter(Boolean)
    .map((each) => {
      const [name = '', metadata = ''] = each.split(':');
      return {
        name,
        metadata:
          type === CONSUMER_PROTOCOL_TYPE ? subscription(metadata.split('+').filter(Boolean)) : Buffer.from(metadata),
      };
    });
}

function parsePartition(word: string): [topic: string, partition: number, offset: number] {
  const [, topic = '', partition, offset] = /^(\w+)-(\d+)(?:=(.*))?$/.exec(word) ?? [];
  return [topic, Number(partition), Number(offset)];
}

function readMetadata(metadata: Uint8Array): string {
  return subscriptionTopics(metadata)?.join('+') ?? text(metadata);
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}

function replyText(reply: Reply): string {
  const { token, response } = reply;
  if (reply.kind === 'sync') {
    const { errorCode, assignment, protocolType, protocolName } = reply.response;
    if (errorCode !== ErrorCode.None) return `  #${token} ${errorName(errorCode)}`;
    return `  #${token} synced ${text(assignment)} type=${protocolType} protocol=${protocolName}`;
  }
  const { errorCode, memberId, generationId, protocolType, protocolName, leader, members, skipAssignment } =
    reply.response;
  if (errorCode !== ErrorCode.None) return `  #${token} ${errorName(response.errorCode)} member=${memberId || '-'}`;
  const others = members.map(
    (each) =>
      `${each.memberId}${each.groupInstanceId === null ? '' : `/${each.groupInstanceId}`}:${readMetadata(each.metadata)}`,
  );
  return (
    `  #${token} joined member=${memberId} gen=${generationId} type=${protocolType} protocol=${protocolName} leader=${leader}` +
    `${skipAssignment ? ' skip' : ''}${others.length > 0 ? ` members=${others.join(',')}` : ''}`
  );
}

function recordText(record: CoordinatorRecord): string {
  const read = readGroupRecord(record);
  if (read.kind === 'unknown' || read.kind === 'consumer') return `  log ${read.kind}`;
  if (read.kind === 'offset') {
    const { groupId, topic, partition, value } = read;
    if (value === undefined) return `  log offset ${groupId} ${topic}-${partition} gone`;
    return `  log offset ${groupId} ${topic}-${partition} ${value.offset}${value.expiresAt === -1 ? '' : ' expires'}`;
  }
  if (read.value === undefined) return `  log group ${read.groupId} gone`;
  const { generation, protocol, leader, members } = read.value;
  const each = members.map(
    (member) =>
      `${member.memberId}${member.groupInstanceId === null ? '' : `/${member.groupInstanceId}`}:${text(member.assignment)}`,
  );
  return `  log group ${read.groupId} gen=${generation} protocol=${protocol} leader=${leader} members=${each.join(',')}`;
}
