/**
 * Rebalances of a group of 100 members with 1,000 partitions on one whole node in the simulator, by each protocol: all join, ten leave, ten
 * come back. Simulated time is the protocol's (heartbeats, rounds), real time the node's own work. Run: node bench/group-rebalance.ts
 */
import { FaultDisk } from '#faults/fault-disk';
import { ErrorCode } from '#model/errors';
import { parseBrokerConfig } from '#model/parse-broker-config';
import { Node } from '#node/node';
import { createCodecs } from '#platform/codecs';
import { ApiKey } from '#protocol/generated/apis';
import {
  type ConsumerGroupHeartbeatRequestInput,
  writeConsumerGroupHeartbeatRequest,
} from '#protocol/generated/consumer-group-heartbeat-request';
import {
  type ConsumerGroupHeartbeatResponse,
  readConsumerGroupHeartbeatResponse,
} from '#protocol/generated/consumer-group-heartbeat-response';
import { writeConsumerProtocolSubscription } from '#protocol/generated/consumer-protocol-subscription';
import { writeCreateTopicsRequest } from '#protocol/generated/create-topics-request';
import { readCreateTopicsResponse } from '#protocol/generated/create-topics-response';
import { writeFindCoordinatorRequest } from '#protocol/generated/find-coordinator-request';
import { readFindCoordinatorResponse } from '#protocol/generated/find-coordinator-response';
import { writeHeartbeatRequest } from '#protocol/generated/heartbeat-request';
import { readHeartbeatResponse } from '#protocol/generated/heartbeat-response';
import { writeJoinGroupRequest } from '#protocol/generated/join-group-request';
import { type JoinGroupResponse, readJoinGroupResponse } from '#protocol/generated/join-group-response';
import { writeLeaveGroupRequest } from '#protocol/generated/leave-group-request';
import { readLeaveGroupResponse } from '#protocol/generated/leave-group-response';
import { writeSyncGroupRequest } from '#protocol/generated/sync-group-request';
import { readSyncGroupResponse } from '#protocol/generated/sync-group-response';
import { Writer } from '#protocol/writer';
import { SimWorld } from '#sim/ports/sim-world';
import { WireClient } from '../test/support/wire-client.ts';

const MEMBERS = 100;
const LEAVING = 10;
const TOPIC = 'orders';
const PARTITIONS = 1_000;
/** group.consumer.heartbeat.interval.ms; the classic members' is Kafka's default too. */
const NEW_BEAT_MS = 5_000;
const CLASSIC_BEAT_MS = 3_000;

const world = new SimWorld({ seed: 1, codecs: createCodecs() });
const pause = (ms: number) => new Promise<void>((resolve) => world.clock.timer(() => resolve()).arm(ms));

async function start(): Promise<void> {
  const disk = new FaultDisk(world.clock, world.disk('d'), { ignoreSync: false });
  const given = { listeners: 'PLAINTEXT://n:9092', 'group.initial.rebalance.delay.ms': '3000' };
  const parsed = parseBrokerConfig(new Map(Object.entries(given)));
  if ('errors' in parsed) throw new Error(parsed.errors.join());
  await world.complete(new Node(world.ports('n', { disks: [disk] }), parsed).start());
  const client = connect('admin');
  const topic = { name: TOPIC, numPartitions: PARTITIONS, replicationFactor: 1, assignments: [], configs: [] };
  const request = { topics: [topic], timeoutMs: 30_000, validateOnly: false };
  await world.complete(
    client.request(ApiKey.CreateTopics, 7, request, writeCreateTopicsRequest, readCreateTopicsResponse),
  );
  for (let errorCode: number = ErrorCode.CoordinatorNotAvailable; errorCode !== ErrorCode.None; ) {
    const key = { keyType: 0, coordinatorKeys: ['new', 'classic'] };
    const found = await world.complete(
      client.request(ApiKey.FindCoordinator, 4, key, writeFindCoordinatorRequest, readFindCoordinatorResponse),
    );
    errorCode = found.coordinators.find((each) => each.errorCode !== ErrorCode.None)?.errorCode ?? ErrorCode.None;
    await world.complete(pause(100));
  }
}

function connect(name: string): WireClient {
  return WireClient.open(world.ports(name, { disks: [] }).network, { host: 'n', port: 9092 });
}

interface Member {
  /** Undefined while a rebalance is not over for it. */
  readonly has: number | undefined;
  leave(): Promise<void>;
}

/** A consumer of the new protocol: it beats, gives up at once what it must, and says so with a beat of its own. */
class NewMember implements Member {
  readonly #client: WireClient;
  readonly #memberId: string;
  #epoch = 0;
  #owned: ConsumerGroupHeartbeatRequestInput['topicPartitions'] = [];
  #left = false;

  constructor(name: string) {
    this.#client = connect(name);
    this.#memberId = name;
    void this.#run();
  }

  get has(): number | undefined {
    return this.#epoch === 0
      ? undefined
      : (this.#owned ?? []).reduce((sum, { partitions }) => sum + partitions.length, 0);
  }

  async leave(): Promise<void> {
    this.#left = true;
    await this.#beat({ memberEpoch: -1, subscribedTopicNames: null, topicPartitions: null });
  }

  async #run(): Promise<void> {
    const joining = { rebalanceTimeoutMs: 60_000, subscribedTopicNames: [TOPIC], topicPartitions: [] };
    let more: Partial<ConsumerGroupHeartbeatRequestInput> = joining;
    while (!this.#left) {
      const answer = await this.#beat({ memberEpoch: this.#epoch, ...more });
      if (answer.errorCode !== ErrorCode.None) throw new Error(`heartbeat: ${answer.errorCode} ${answer.errorMessage}`);
      this.#epoch = answer.memberEpoch;
      more = {};
      if (answer.assignment === null) await pause(NEW_BEAT_MS);
      else {
        this.#owned = answer.assignment.topicPartitions;
        more = { topicPartitions: this.#owned };
      }
    }
  }

  #beat(more: Partial<ConsumerGroupHeartbeatRequestInput>): Promise<ConsumerGroupHeartbeatResponse> {
    const request = { groupId: 'new', memberId: this.#memberId, memberEpoch: 0, ...more };
    return this.#client.request(
      ApiKey.ConsumerGroupHeartbeat,
      1,
      request,
      writeConsumerGroupHeartbeatRequest,
      readConsumerGroupHeartbeatResponse,
    );
  }
}

/** A consumer of the classic protocol, eager: its leader hands the partitions out in turn. */
class ClassicMember implements Member {
  readonly #client: WireClient;
  #memberId = '';
  #has: number | undefined;
  #left = false;

  constructor(name: string) {
    this.#client = connect(name);
    void this.#run();
  }

  get has(): number | undefined {
    return this.#has;
  }

  async leave(): Promise<void> {
    this.#left = true;
    const request = { groupId: 'classic', members: [{ memberId: this.#memberId }] };
    await this.#client.request(ApiKey.LeaveGroup, 5, request, writeLeaveGroupRequest, readLeaveGroupResponse);
  }

  async #run(): Promise<void> {
    while (!this.#left) {
      const joined = await this.#join();
      if (joined.errorCode === ErrorCode.MemberIdRequired) this.#memberId = joined.memberId;
      if (joined.errorCode !== ErrorCode.None) continue;
      if (!(await this.#sync(joined))) continue;
      for (let errorCode: number = ErrorCode.None; errorCode === ErrorCode.None && !this.#left; ) {
        await pause(CLASSIC_BEAT_MS);
        const { generationId } = joined;
        const beat = { groupId: 'classic', generationId, memberId: this.#memberId };
        ({ errorCode } = await this.#client.request(
          ApiKey.Heartbeat,
          4,
          beat,
          writeHeartbeatRequest,
          readHeartbeatResponse,
        ));
      }
      this.#has = undefined;
    }
  }

  #join(): Promise<JoinGroupResponse> {
    const writer = new Writer();
    writer.int16(0);
    writeConsumerProtocolSubscription(writer, { topics: [TOPIC], userData: null }, 0);
    const request = {
      groupId: 'classic',
      sessionTimeoutMs: 45_000,
      rebalanceTimeoutMs: 60_000,
      memberId: this.#memberId,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: Buffer.concat(writer.chunks()) }],
    };
    return this.#client.request(ApiKey.JoinGroup, 9, request, writeJoinGroupRequest, readJoinGroupResponse);
  }

  async #sync({ generationId, members }: JoinGroupResponse): Promise<boolean> {
    const assignments = members.map(({ memberId }, index) => {
      const own = Array.from({ length: PARTITIONS }, (_, partition) => partition).filter(
        (n) => n % members.length === index,
      );
      return { memberId, assignment: Buffer.from(Int32Array.from(own).buffer) };
    });
    const request = {
      groupId: 'classic',
      generationId,
      memberId: this.#memberId,
      protocolType: 'consumer',
      protocolName: 'range',
      assignments,
    };
    const synced = await this.#client.request(
      ApiKey.SyncGroup,
      5,
      request,
      writeSyncGroupRequest,
      readSyncGroupResponse,
    );
    if (synced.errorCode !== ErrorCode.None) return false;
    this.#has = synced.assignment.length / 4;
    return true;
  }
}

/** Goes on until all partitions are with the members, as evenly as that can be. */
async function settled(members: readonly Member[], what: string): Promise<void> {
  const [simulated, real] = [world.clock.now(), performance.now()];
  const share = Math.floor(PARTITIONS / members.length);
  const isDone = () => {
    const sizes = members.map(({ has }) => has ?? -1);
    const total = sizes.reduce((sum, each) => sum + each, 0);
    return total === PARTITIONS && sizes.every((each) => each === share || each === share + 1);
  };
  while (!isDone()) await world.complete(pause(10));
  const took = [world.clock.now() - simulated, performance.now() - real].map((ms) => `${(ms / 1000).toFixed(2)} s`);
  process.stdout.write(`${what.padEnd(40)} ${took[0]} simulated, ${took[1]} real\n`);
}

async function run(kind: string, open: (name: string) => Member): Promise<void> {
  const members = Array.from({ length: MEMBERS }, (_, index) => open(`${kind}-${index}`));
  await settled(members, `${kind}: ${MEMBERS} join`);
  const leaving = members.splice(0, LEAVING);
  for (const member of leaving) await world.complete(member.leave());
  await settled(members, `${kind}: ${LEAVING} leave`);
  for (let index = 0; index < LEAVING; index += 1) members.push(open(`${kind}-again-${index}`));
  await settled(members, `${kind}: ${LEAVING} join`);
  for (const member of members) await world.complete(member.leave());
}

await start();
await run('new', (name) => new NewMember(name));
await run('classic', (name) => new ClassicMember(name));
