/** Clients that ask for too much, or for nonsense. */
import { connect, type Socket } from 'node:net';
import type { Random } from '#base/ports';
import { FETCH } from '#protocol/calls';
import { writeRequestHeader } from '#protocol/headers';
import { Writer } from '#protocol/writer';
import type { Member } from '../../test/support/cluster/cluster.ts';
import { sleep } from '../../test/support/process.ts';
import type { Fault, Scene } from './fault.ts';
import { repeated } from './repeated.ts';

const STORM = 500;
const STORM_MS = 500;
const MALFORMED = 40;
const MALFORMED_MS = 100;
const MALFORMED_BYTES_MAX = 300;
const API_KEYS = 93;
const VERSIONS = 18;
const SLOW = 20;
const SLOW_MS = 2_000;
/** Of any topic of the trials; there is no leader of others. */
const PARTITIONS_MAX = 4;
const SLOW_BYTES = 50 * 1024 * 1024;

/** Connections that each say something at once and read nothing; closed, by a reset, after a while. Says whether most came about. */
async function visitors(
  { host, port }: Member,
  count: number,
  ms: number,
  says: (index: number) => readonly Uint8Array[],
): Promise<boolean> {
  let connected = 0;
  const sockets = Array.from({ length: count }, (_, index): Socket => {
    const socket = connect({ host, port });
    // Whatever the node does with it.
    socket.on('error', () => undefined);
    socket.once('connect', () => {
      connected += 1;
    });
    for (const chunk of says(index)) socket.write(chunk);
    return socket.pause();
  });
  await sleep(ms);
  for (const socket of sockets) socket.resetAndDestroy();
  return connected > count / 2;
}

/** A frame whose header may be right, and whose rest is not. */
function malformed(random: Random): readonly Uint8Array[] {
  const bytes = Buffer.alloc(12 + (random.uint32() % MALFORMED_BYTES_MAX));
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = random.uint32();
  const isCut = random.uint32() % 4 === 0;
  bytes.writeInt32BE(isCut ? random.uint32() | 0 : bytes.length - 4, 0);
  bytes.writeInt16BE(random.uint32() % API_KEYS, 4);
  bytes.writeInt16BE(random.uint32() % VERSIONS, 6);
  return [bytes];
}

function hugeFetch({ topics }: Scene): readonly Uint8Array[] {
  const writer = new Writer();
  writer.int32(0);
  const { apiKey, version } = FETCH;
  writeRequestHeader(writer, { apiKey, apiVersion: version, correlationId: 1, clientId: 'slow' });
  const partitions = Array.from({ length: PARTITIONS_MAX }, (_, partition) => {
    return { partition, currentLeaderEpoch: -1, fetchOffset: 0, partitionMaxBytes: SLOW_BYTES };
  });
  const asked = topics.map((topic) => ({ topic, partitions }));
  FETCH.write(writer, { maxWaitMs: 100, minBytes: 1, maxBytes: SLOW_BYTES, topics: asked }, version);
  writer.patchInt32(0, writer.sizeBytes - 4);
  return writer.chunks();
}

const about = { needsHosts: false, mixes: true } as const;

export const CLIENT_FAULTS: readonly Fault[] = [
  repeated(
    {
      ...about,
      name: 'connection-storm',
      what: `${STORM} connections at once to a node, half of which begin a request that they do not end`,
      expected: 'it serves the others, and loses none of its memory',
    },
    ({ cluster }, id) =>
      visitors(cluster.member(id), STORM, STORM_MS, (index) => (index % 2 === 0 ? [] : [Buffer.from([0, 0, 16])])),
  ),
  repeated(
    {
      ...about,
      name: 'slow-consumers',
      what: `${SLOW} consumers that ask for all there is, again and again, and read nothing of it`,
      expected: 'it holds little for each',
      // Whoever leads nothing has nothing to hold.
      target: 'leader',
    },
    (scene, id) => {
      const request = hugeFetch(scene);
      return visitors(scene.cluster.member(id), SLOW, SLOW_MS, () => Array.from({ length: 10 }, () => request).flat());
    },
  ),
  repeated(
    {
      ...about,
      name: 'malformed',
      what: `${MALFORMED * (1_000 / MALFORMED_MS)} requests a second of random bytes, behind a header that may be right`,
      expected: 'an error, or a closed connection',
    },
    ({ cluster, random }, id) => visitors(cluster.member(id), MALFORMED, MALFORMED_MS, () => malformed(random)),
  ),
];
