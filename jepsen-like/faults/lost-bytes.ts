/** What a node finds of its files on starting again: bytes that have changed, or nothing. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { at } from '#base/assert';
import type { Random } from '#base/ports';
import { readBatchHeader } from '#protocol/record-batch';
import { METADATA_FOLDER } from '#runtime/metadata-quorum';
import { sleep } from '../../test/support/process.ts';
import type { Fault } from './fault.ts';

const FLIPS_PER_FILE = 3;

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

/** Flips a few bits of a file, in these ranges; says whether there was anything to flip. */
function rot(path: string, random: Random, rangesOf: (bytes: Uint8Array) => readonly Range[]): boolean {
  const bytes = readFileSync(path);
  const ranges = rangesOf(bytes);
  if (bytes.length === 0 || ranges.length === 0) return false;
  for (let flip = 0; flip < FLIPS_PER_FILE; flip += 1) {
    const [from, upTo] = at(ranges, random.uint32() % ranges.length);
    const place = from + (random.uint32() % (upTo - from));
    bytes[place] = (bytes[place] ?? 0) ^ (1 << (random.uint32() % 8));
  }
  writeFileSync(path, bytes);
  return true;
}

const anywhere = (bytes: Uint8Array): readonly Range[] => [[0, bytes.length]];

/** Begins with the end of the node's process, ends with a start. */
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
      cluster.signal(id, end);
      await cluster.ended(id);
      change(cluster.member(id).dataDir, random, topics);
    },
    end: async ({ cluster }, id) => cluster.spawn(id),
  };
}

function bitRot(
  name: string,
  what: string,
  expected: string,
  end: 'SIGKILL' | 'SIGTERM',
  isRotten: (path: string, topics: readonly string[]) => boolean,
  rangesOf: (bytes: Uint8Array) => readonly Range[] = anywhere,
): Fault {
  return found(name, what, expected, end, (dataDir, random, topics) => {
    const paths = readdirSync(dataDir, { recursive: true, encoding: 'utf8' }).sort();
    const chosen = paths.filter((path) => isRotten(path, topics));
    const rotten = chosen.filter((path) => rot(join(dataDir, path), random, rangesOf));
    if (rotten.length === 0) throw new Error(`${name}: there is nothing to rot in ${dataDir}`);
  });
}

const STARTS_MS = 20_000;

/** Of the files that tell of votes and metadata there is no second copy on the node: it is to refuse, until its disk is replaced. */
const rotVotes: Fault = {
  ...bitRot(
    'rot-votes',
    'bits flip in the vote file and the snapshots of the metadata of a node that is down',
    'it refuses to start, and says why; with an empty disk it comes back',
    'SIGKILL',
    (path) => path.startsWith(METADATA_FOLDER) && (path.endsWith('quorum-state') || path.endsWith('.snapshot')),
  ),
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

export const LOST_BYTES_FAULTS: readonly Fault[] = [
  bitRot(
    'rot-segments',
    'bits flip in every segment of a node that is down, where a checksum covers them',
    'it is told from a torn end, and fetched anew',
    'SIGKILL',
    (path, topics) => ofTopics(path, topics) && path.endsWith('.log'),
    checkedRanges,
  ),
  bitRot(
    'rot-indexes',
    'bits flip in every index and producer snapshot of a node that was stopped and is to trust them',
    'they are made anew',
    'SIGTERM',
    (path, topics) => ofTopics(path, topics) && /\.(index|timeindex|txnindex|snapshot)$/.test(path),
  ),
  rotVotes,
  found(
    'wipe',
    'the folder of a node that is down is removed',
    'it is not taken for what it was; everything is fetched anew',
    'SIGKILL',
    (dataDir) => rmSync(dataDir, { recursive: true }),
  ),
];
