/**
 * A shard with its log, driven by lines of text; its answers are text as well. The language is in
 * transcripts/README.md.
 */

import { MemberState } from '#coordinator/consumer-member';
import {
  CONSUMER_PROTOCOL_TYPE,
  readAssignment,
  subscriptionTopics,
  writeAssignment,
} from '#coordinator/consumer-protocol';
import type { ConsumerChange } from '#coordinator/consumer-records';
import type { CoordinatorRecord, Effects, Instant, Reply } from '#coordinator/effects';
import { coordinatorError } from '#coordinator/failures';
import type {
  ConsumerHeartbeatCommand,
  ConsumerHeartbeatResponse,
  MemberProtocol,
  NamedTopicPartitions,
} from '#coordinator/group-commands';
import type { ConsumerGroupConfig, GroupConfig } from '#coordinator/group-config';
import { readGroupRecord } from '#coordinator/group-records';
import { GroupShard } from '#coordinator/group-shard';
import { type TopicPartitions, topicPartitionsOf } from '#coordinator/partition-sets';
import { ErrorCode, errorName } from '#model/errors';
import { type Uuid, ZERO_UUID } from '#model/ids';
import { countingRandom, subscription, TestTopics, testConfig, testGroupConfig, topicId } from './fixtures.ts';

const UUID = /-0{8}-0{4}-40{3}-80{3}-([0-9a-f]{12})/g;
const WALL_AT_START = 1_700_000_000_000;

interface Line {
  readonly verb: string;
  readonly words: readonly string[];
  option(name: string): string | undefined;
  number(name: string, otherwise: number): number;
}

export class ScriptedShard {
  readonly log: (CoordinatorRecord & { readonly writtenAt: number })[] = [];
  #config: GroupConfig = testConfig();
  #groupConfig: ConsumerGroupConfig = testGroupConfig();
  #random = countingRandom();
  readonly #topics = new TestTopics({ orders: 3, payments: 2 });
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
      case 'config': {
        const settings = line.words.map((word) => word.split('=')).map(([key = '', text]) => [key, settingOf(text)]);
        const isGroups = ([key]: readonly unknown[]) => Object.hasOwn(this.#groupConfig, String(key));
        this.#groupConfig = { ...this.#groupConfig, ...Object.fromEntries(settings.filter(isGroups)) };
        this.#config = { ...this.#config, ...Object.fromEntries(settings.filter((each) => !isGroups(each))) };
        this.#shard = this.#newShard();
        return [];
      }
      case 'hb': {
        const outcome = this.#shard.consumerHeartbeat(this.#heartbeatOf(groupId, line), this.#instant());
        return [consumerText(outcome.response), ...this.#carryOut(outcome)];
      }
      case 'topic': {
        const [name = '', count] = groupId.split('=');
        const isNew = this.#topics.topic(name) === undefined;
        this.#topics.set(name, Number(count));
        this.#shard.topicsChanged(isNew ? [name] : [], [name]);
        return [];
      }
      case 'describe-consumer':
        return this.#shard
          .consumerGroupDescribe(line.words)
          .flatMap((each) => [
            `  ${each.groupId} ${each.groupState} ${errorName(each.errorCode)} epoch=${each.groupEpoch} assignment=${each.assignmentEpoch} assignor=${each.assignorName}`,
            ...each.members.map(
              (member) =>
                `    ${member.memberId} as=${member.instanceId} epoch=${member.memberEpoch} type=${member.memberType} ` +
                `topics=${member.subscribedTopicNames.join('+')} regex=${member.subscribedTopicRegex} ` +
                `has=${namedText(member.assignment)} target=${namedText(member.targetAssignment)}`,
            ),
          ]);
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
          protocols: parseProtocols(line.option('protocols') ?? 'range:orders', type, line.option('own')),
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
              const [member = '', assignment = '', numbers] = pair.split(':');
              const topics =
                numbers === undefined ? undefined : [{ topic: assignment, partitions: parseNumbers(numbers) }];
              return {
                memberId: expand(member),
                assignment: topics === undefined ? Buffer.from(assignment) : writeAssignment(topics, 0),
              };
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
            staleEpochKnown: !line.words.includes('v8'),
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
          memberId: line.option('member') ?? null,
          memberEpoch: line.number('epoch', -1),
          requireStable: false,
        });
        if (response.errorCode !== ErrorCode.None) return [`  ${errorName(response.errorCode)}`];
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
                `metadata=${readMetadata(member.memberMetadata)} assignment=${assignmentText(member.memberAssignment)}`,
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
        for (const record of this.log) this.#shard.replay(record, record.writtenAt);
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
      const { wall: writtenAt } = this.#instant();
      this.log.push({ ...record, writtenAt });
      this.#shard.replay(record, writtenAt);
    }
    return [...lines, ...effects.replies.map(replyText)];
  }

  #newShard(): GroupShard {
    const shard = new GroupShard({
      config: this.#config,
      random: this.#random,
      topics: this.#topics,
      configOf: () => this.#groupConfig,
    });
    if (this.log.length === 0) shard.loaded({ mono: 1_000, wall: WALL_AT_START });
    return shard;
  }

  #heartbeatOf(groupId: string, line: Line): ConsumerHeartbeatCommand {
    const epoch = line.number('epoch', 0);
    const topics = line.option('topics') ?? (epoch === 0 && line.option('regex') === undefined ? 'orders' : undefined);
    const owned = line.option('own') ?? (epoch === 0 ? '' : undefined);
    const text = (name: string) => (line.option(name) === '""' ? '' : (line.option(name) ?? null));
    return {
      groupId,
      memberId: line.words[1] === '-' ? '' : (line.words[1] ?? ''),
      memberEpoch: epoch,
      instanceId: text('as'),
      rackId: text('rack'),
      rebalanceTimeoutMs: line.number('timeout', epoch === 0 ? 60_000 : -1),
      subscribedTopicNames:
        topics === undefined || topics === 'unsaid'
          ? null
          : topics.split('+').filter((name) => name !== '""' && name !== ''),
      subscribedTopicRegex: text('regex'),
      serverAssignor: text('assignor'),
      topicPartitions: owned === undefined || owned === 'unsaid' ? null : parseOwned(owned),
      clientId: 'c',
      clientHost: '/127.0.0.1',
      memberIdRequired: !line.words.includes('v0'),
    };
  }

  #nextToken(): number {
    this.#token += 1;
    return this.#token;
  }

  #instant(): Instant {
    return { mono: this.#now, wall: WALL_AT_START + this.#now };
  }
}

/** Of a config: a number, a word, or several joined by +. */
function settingOf(text = ''): number | string | readonly string[] {
  if (text !== '' && !Number.isNaN(Number(text))) return Number(text);
  return text.includes('+') ? text.split('+') : text;
}

/** `orders:0+1,payments:0` */
function parseOwned(owned: string): readonly (TopicPartitions & { readonly name: string })[] {
  return owned
    .split(',')
    .filter(Boolean)
    .map((each) => {
      const [name = '', partitions = ''] = each.split(':');
      return { name, topicId: topicId(name), partitions: parseNumbers(partitions) };
    });
}

function parseNumbers(numbers: string): number[] {
  return numbers.split('+').filter(Boolean).map(Number);
}

function consumerText({
  errorCode,
  errorMessage,
  memberId,
  memberEpoch,
  assignment,
}: ConsumerHeartbeatResponse): string {
  if (errorCode !== ErrorCode.None) return `  ${errorName(errorCode)} ${errorMessage}`;
  return `  member=${memberId} epoch=${memberEpoch}${assignment === null ? '' : ` has=${ownedText(assignment.topicPartitions)}`}`;
}

function ownedText(topics: readonly TopicPartitions[]): string {
  return (
    topics.map((each) => `${each.topicId.replace(/_*\dA$/, '')}:${each.partitions.join('+')}`).join(',') || 'nothing'
  );
}

function namedText({ topicPartitions }: { readonly topicPartitions: readonly NamedTopicPartitions[] }): string {
  return topicPartitions.map((each) => `${each.topicName}:${each.partitions.join('+')}`).join(',') || 'nothing';
}

function changeText(groupId: string, change: ConsumerChange): string {
  const gone = 'value' in change && change.value === undefined;
  switch (change.of) {
    case 'group':
      return gone ? `epoch ${groupId} gone` : `epoch ${groupId} ${change.value?.epoch}`;
    case 'assignment':
      return gone ? `assignment ${groupId} gone` : `assignment ${groupId} ${change.value?.epoch}`;
    case 'member': {
      const { topicNames = [], topicRegex, classic, instanceId } = change.value ?? {};
      if (gone) return `member ${groupId} ${change.memberId} gone`;
      return `member ${groupId} ${change.memberId} as=${instanceId} topics=${topicNames.join('+')} regex=${topicRegex}${classic === null ? '' : ' classic'}`;
    }
    case 'target':
      if (change.value === undefined) return `target ${groupId} ${change.memberId} gone`;
      return `target ${groupId} ${change.memberId} ${ownedText(topicPartitionsOf(change.value))}`;
    case 'progress': {
      if (change.value === undefined) return `progress ${groupId} ${change.memberId} gone`;
      const { state, memberEpoch, assigned, revoking } = change.value;
      const name = Object.entries(MemberState).find(([, value]) => value === state)?.[0];
      return (
        `progress ${groupId} ${change.memberId} ${name} epoch=${memberEpoch} has=${ownedText(topicPartitionsOf(assigned))}` +
        `${revoking.size === 0 ? '' : ` revoking=${ownedText(topicPartitionsOf(revoking))}`}`
      );
    }
    case 'regex':
      return `regex ${groupId} ${change.regex} ${change.value === undefined ? 'gone' : [...change.value.topics].join('+')}`;
    case 'topics':
      return 'topics';
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

function parseProtocols(spec: string, type: string, own: string | undefined): MemberProtocol[] {
  const owned =
    own === undefined ? undefined : parseOwned(own).map(({ name, partitions }) => ({ topic: name, partitions }));
  return spec
    .split(',')
    .filter(Boolean)
    .map((each) => {
      const [name = '', metadata = ''] = each.split(':');
      return {
        name,
        metadata:
          type === CONSUMER_PROTOCOL_TYPE
            ? subscription(metadata.split('+').filter(Boolean), owned)
            : Buffer.from(metadata),
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

/** What consumers understand, or any text. */
function assignmentText(bytes: Uint8Array): string {
  const topics = readAssignment(bytes)?.map(({ topic, partitions }) => `${topic}:${partitions.join('+')}`);
  return topics?.join(',') ?? text(bytes);
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}

function replyText(reply: Reply): string {
  const { token, response } = reply;
  if (reply.kind === 'sync') {
    const { errorCode, assignment, protocolType, protocolName } = reply.response;
    if (errorCode !== ErrorCode.None) return `  #${token} ${errorName(errorCode)}`;
    return `  #${token} synced ${assignmentText(assignment)} type=${protocolType} protocol=${protocolName}`;
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
  if (read.kind === 'unknown') return '  log unknown';
  if (read.kind === 'consumer') return `  log ${changeText(read.groupId, read.change)}`;
  if (read.kind === 'offset') {
    const { groupId, topic, partition, value } = read;
    if (value === undefined) return `  log offset ${groupId} ${topic}-${partition} gone`;
    return `  log offset ${groupId} ${topic}-${partition} ${value.offset}${value.expiresAt === -1 ? '' : ' expires'}`;
  }
  if (read.value === undefined) return `  log group ${read.groupId} gone`;
  const { generation, protocol, leader, members } = read.value;
  const each = members.map(
    (member) =>
      `${member.memberId}${member.groupInstanceId === null ? '' : `/${member.groupInstanceId}`}:${assignmentText(member.assignment)}`,
  );
  return `  log group ${read.groupId} gen=${generation} protocol=${protocol} leader=${leader} members=${each.join(',')}`;
}
