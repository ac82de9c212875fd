import type { ReplicaKey } from '#model/voter';
import type { SnapshotChunkRead, SnapshotWanted } from '#raft/raft-types';
import type { RaftLog } from '#storage/raft-log';
import type { RaftSnapshotReader } from '#storage/raft-log-snapshot';

/** `chunk` undefined: it could not be read. */
export type ChunkRead = (to: ReplicaKey, chunk: SnapshotChunkRead | undefined) => void;

/** One replica's reading. */
interface Reading {
  reader: RaftSnapshotReader | undefined;
  /** One operation at a time. */
  last: Promise<void>;
}

/** Reads the leader's snapshot for the replicas that need it; each goes on with the snapshot that it began with. */
export class SnapshotSender {
  readonly #log: RaftLog;
  readonly #chunkRead: ChunkRead;
  /** As many as the machine tracks replicas. */
  readonly #readings = new Map<string, Reading>();
  #stopped = false;

  constructor(log: RaftLog, chunkRead: ChunkRead) {
    this.#log = log;
    this.#chunkRead = chunkRead;
  }

  /** Answered in a later turn. */
  want(wanted: SnapshotWanted): void {
    const name = nameOf(wanted.to);
    const reading = this.#readings.get(name) ?? { reader: undefined, last: Promise.resolve() };
    this.#readings.set(name, reading);
    reading.last = reading.last.then(async () => {
      if (this.#stopped) return;
      const chunk = await this.#read(reading, wanted.position).catch(() => undefined);
      if (!this.#stopped) this.#chunkRead(wanted.to, chunk);
    });
  }

  release(to: ReplicaKey): void {
    const name = nameOf(to);
    const reading = this.#readings.get(name);
    if (reading === undefined) return;
    this.#readings.delete(name);
    reading.last = reading.last.then(() => closeReader(reading));
  }

  async close(): Promise<void> {
    this.#stopped = true;
    for (const reading of this.#readings.values()) {
      await reading.last;
      await closeReader(reading);
    }
  }

  async #read(reading: Reading, position: number): Promise<SnapshotChunkRead | undefined> {
    if (position === 0) {
      await closeReader(reading);
      reading.reader = await this.#log.openSnapshot();
    }
    const { reader } = reading;
    const chunk = await reader?.read(position);
    if (reader === undefined || chunk === undefined || chunk === 'damaged') return undefined;
    return { ...reader.covers, position, payload: chunk.payload, last: chunk.last };
  }
}

async function closeReader(reading: Reading): Promise<void> {
  const { reader } = reading;
  reading.reader = undefined;
  await reader?.close();
}

function nameOf({ id, directoryId }: ReplicaKey): string {
  return `${id}/${directoryId}`;
}
