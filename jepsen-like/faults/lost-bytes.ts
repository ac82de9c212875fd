/** What a node finds of its files on starting again: bytes that have changed, or nothing. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { at } from '#base/assert';
import type { Random } from '#base/ports';
import { readBatchHeader } from '#protocol/record-batch';
import { METADATA_FOLDER } from '#runtime/metadata-quorum';
import { sleep } from '../../test/support/process.ts';
import type { Fault } from './fault.ts';
import { IN_SNAPSHOT, INDEXED, makeLargeLogs, readLargeLogs } from './large-logs.ts';
import { leadAgain } from './lead-again.ts';
import { hasLogged } from './logged.ts';

const FLIPS_PER_FILE = 3;
/** What does not fit together is no index: of more flips there is always one that shows. */
const FLIPS_PER_INDEX = 1;

/** From a byte to before another, of those in which bits may flip. */
type Range = readonly [from: number, upTo: number];

/** Of a batch base offset and leader epoch lie outside the checksum, in Kafka's format, and nothing else tells of them. */
const LENGTH_AT = 8;
const EPOCH_AT = 12;
const EPOCH_END = 16;

/** The batches of a segment, but for what no checksum covers. */
function checkedRanges(bytes: Uint8Array): readonly Range[] {
  const ranges: Range[] = [];
  for (let place = 0; place < bytes.length; ) {
    const header = readBatchHeader(bytes, place);
    if (typeof header === 'string') break;
    ranges.push([place + LENGTH_AT, place + EPOCH_AT], [place + EPOCH_END, place + header.sizeBytes]);
    place += header.sizeBytes;
  }
  return ranges;
}

/** A byte as it has become. */
interface RottenByte {
  readonly path: string;
  readonly place: number;
  readonly value: number;
}

/** Flips a few bits of a file, in these ranges; none if there is nothing to flip. */
function rot(
  path: string,
  random: Random,
  rangesOf: (bytes: Uint8Array) => readonly Range[],
  flips: number,
): readonly RottenByte[] {
  const bytes = readFileSync(path);
  const ranges = rangesOf(bytes);
  if (bytes.length === 0 || ranges.length === 0) return [];
  const places = new Set<number>();
  for (let flip = 0; flip < flips; flip += 1) {
    const [from, upTo] = at(ranges, random.uint32() % ranges.length);
    const place = from + (random.uint32() % (upTo - from));
    // A second flip might undo the first.
    if (places.has(place)) continue;
    places.add(place);
    bytes[place] = (bytes[place] ?? 0) ^ (1 << (random.uint32() % 8));
  }
  writeFileSync(path, bytes);
  return [...places].map((place) => ({ path, place, value: bytes[place] ?? 0 }));
}

/** A replica that was fetched anew has the same batches in the same places, without these. */
function isStillThere({ path, place, value }: RottenByte): boolean {
  return existsSync(path) && readFileSync(path)[place] === value;
}

const anywhere = (bytes: Uint8Array): readonly Range[] => [[0, bytes.length]];

/** Begins with the end of the node's process, ends with a start; what it has then is read, by whoever asks those who lead. */
function found(
  name: string,
  what: string,
  expected: string,
  end: 'SIGKILL' | 'SIGTERM',
  change: (dataDir: string, random: Random, topics: readonly string[]) => void,
): Fault {
  return {
    name,
    what,
    expected,
    needsHosts: false,
    mixes: false,
    target: 'leader',
    begin: async ({ cluster, random, topics }, id) => {
      if (end === 'SIGTERM') {
        await cluster.stop(id);
      } else {
        cluster.signal(id, end);
        await cluster.ended(id);
      }
      change(cluster.member(id).dataDir, random, topics);
    },
    end: async ({ cluster }, id) => cluster.spawn(id),
    recovered: ({ cluster }) => leadAgain(cluster),
  };
}

interface Rot {
  readonly name: string;
  readonly what: string;
  readonly expected: string;
  readonly end: 'SIGKILL' | 'SIGTERM';
  isRotten(path: string, topics: readonly string[]): boolean;
  rangesOf(bytes: Uint8Array): readonly Range[];
  /** In each file. */
  readonly flips?: number;
  /** Whether none of it is on the disk any more when the cluster is whole again. */
  readonly isFetchedAnew: boolean;
}

function bitRot({ name, what, expected, end, isRotten, rangesOf, flips = FLIPS_PER_FILE, isFetchedAnew }: Rot): Fault {
  let rotten: readonly RottenByte[] = [];
  const fault = found(name, what, expected, end, (dataDir, random, topics) => {
    const paths = readdirSync(dataDir, { recursive: true, encoding: 'utf8' }).sort();
    const chosen = paths.filter((path) => isRotten(path, topics));
    rotten = chosen.flatMap((path) => rot(join(dataDir, path), random, rangesOf, flips));
    if (rotten.length === 0) throw new Error(`${name}: there is nothing to rot in ${dataDir}`);
  });
  if (!isFetchedAnew) return fault;
  return {
    ...fault,
    recovered: async (scene, id) => {
      const [first, ...more] = rotten.filter(isStillThere);
      if (first !== undefined) throw new Error(`${first.path} is as rotten as it was, with ${more.length} bytes more`);
      await fault.recovered?.(scene, id);
    },
  };
}

const STARTS_MS = 20_000;

/** Of the files that tell of votes and metadata there is no second copy on the node: it is to refuse, until its disk is replaced. */
const rotVotes: Fault = {
  ...bitRot({
    name: 'rot-votes',
    what: 'bits flip in the vote file and the snapshots of the metadata of a node that is down',
    expected: 'it refuses to start, and says why; with an empty disk it comes back',
    end: 'SIGKILL',
    isRotten: (path) =>
      path.startsWith(METADATA_FOLDER) && (path.endsWith('quorum-state') || path.endsWith('.snapshot')),
    rangesOf: anywhere,
    isFetchedAnew: false,
  }),
  end: async ({ cluster }, id) => {
    cluster.spawn(id);
    await Promise.race([cluster.ended(id), sleep(STARTS_MS)]);
    if (cluster.runs(id)) throw new Error(`node ${id} runs on with a damaged vote file`);
    rmSync(cluster.member(id).dataDir, { recursive: true });
    cluster.spawn(id);
  },
};

const ofTopics = (path: string, topics: readonly string[]): boolean =>
  topics.some((topic) => path.startsWith(`${topic}-`));

/** Of a topic that it makes for itself, named as if it were a partition of one of the trial's. */
const largeTopic = ([topic = '']: readonly string[]): string => `${topic}-large`;

/** If the snapshot of a log is of no use, all of it is read, and its indexes are made anew: they rot in another one. */
function isIndexOrSnapshot(path: string, topics: readonly string[]): boolean {
  const [isIndex, isSnapshot] = [/\.(index|timeindex|txnindex)$/.test(path), path.endsWith('.snapshot')];
  if (path.startsWith(`${largeTopic(topics)}-${INDEXED}`)) return isIndex;
  return isSnapshot || (isIndex && !path.startsWith(`${largeTopic(topics)}-${IN_SNAPSHOT}`));
}

function rotIndexesOf(fault: Fault): Fault {
  let beganAtMs = Number.POSITIVE_INFINITY;
  return {
    ...fault,
    prepare: async ({ cluster, topics }, id) => {
      await makeLargeLogs(cluster, id, largeTopic(topics));
      await cluster.inSync();
    },
    begin: async (scene, id) => {
      beganAtMs = Date.now();
      await fault.begin(scene, id);
    },
    recovered: async (scene, id) => {
      const { cluster, topics, random } = scene;
      if (!hasLogged(cluster.said(id), 'a producer snapshot is not used', beganAtMs)) {
        throw new Error(`node ${id} has looked at no snapshot`);
      }
      await fault.recovered?.(scene, id);
      await readLargeLogs(cluster, id, largeTopic(topics), random);
    },
  };
}

const rotIndexes = rotIndexesOf(
  bitRot({
    name: 'rot-indexes',
    what: 'a bit flips in every index and producer snapshot of a node that was stopped and is to trust them',
    expected: 'they are made anew; it gives what it is asked for, all over a large log',
    end: 'SIGTERM',
    isRotten: (path, topics) => ofTopics(path, topics) && isIndexOrSnapshot(path, topics),
    rangesOf: anywhere,
    flips: FLIPS_PER_INDEX,
    isFetchedAnew: false,
  }),
);

export const LOST_BYTES_FAULTS: readonly Fault[] = [
  bitRot({
    name: 'rot-segments',
    what: 'bits flip in every segment of a node that is down, where a checksum covers them',
    expected: 'it is told from a torn end, and fetched anew',
    end: 'SIGKILL',
    isRotten: (path, topics) => ofTopics(path, topics) && path.endsWith('.log'),
    rangesOf: checkedRanges,
    isFetchedAnew: true,
  }),
  rotIndexes,
  rotVotes,
  found(
    'wipe',
    'the folder of a node that is down is removed',
    'it is not taken for what it was; everything is fetched anew',
    'SIGKILL',
    (dataDir) => rmSync(dataDir, { recursive: true }),
  ),
];
