import { describe, expect, test } from 'vitest';
import type { IoErrorCode } from '#base/ports';
import type { DiskOperation } from '#faults/fault-disk';
import type { RaftOutput, SnapshotPiece } from '#raft/raft-types';
import { QuorumLog, type QuorumLogEvents } from '#runtime/quorum-log';
import type { RaftLog } from '#storage/raft-log';
import type { RaftLogOptions } from '#storage/raft-log-recovery';
import { entries, LogWorld, payload, texts } from '../storage/raft-log-support.ts';

const NOTHING: RaftOutput = {
  hardState: undefined,
  truncateFrom: undefined,
  append: [],
  generation: 0,
  messages: [],
  commitIndex: 0,
  storeSnapshot: [],
  sendSnapshot: [],
  releaseSnapshot: [],
  reads: [],
  refusedReads: [],
};

const PIECES = ['one', 'two'].map(
  (text, position): SnapshotPiece => ({
    ...{ index: 10, epoch: 4 },
    ...{ position, payload: payload(text), last: position === 1 },
  }),
);

/** A follower's log of two entries, on a disk where nothing can be written or made durable at will. */
class Stage {
  readonly told: string[] = [];
  /** Where there is no room now. */
  lacking: { readonly operation: DiskOperation; readonly path: RegExp } | undefined;
  /** From this operation on. */
  after: { readonly operation: DiskOperation; readonly path: RegExp } | undefined;
  code: IoErrorCode = 'ENOSPC';
  raftLog!: RaftLog;
  readonly world: LogWorld;
  log!: QuorumLog;

  constructor(seed: number) {
    this.world = new LogWorld(seed, {
      strike: (operation, path) => {
        const { lacking, after } = this;
        if (operation === after?.operation && after.path.test(path)) this.after = undefined;
        else if (after === undefined && operation === lacking?.operation && lacking.path.test(path))
          return { fail: this.code };
        return undefined;
      },
    });
  }

  async open(options: Partial<RaftLogOptions> = {}): Promise<void> {
    const { log } = await this.world.open(options);
    this.raftLog = log;
    await this.world.append(log, entries(0, 1, ['a', 'b']));
    const tell = (line: string) => this.told.push(line);
    const events: QuorumLogEvents = {
      hardStateSaved: () => tell('hard state saved'),
      persisted: (index) => tell(`persisted ${index}`),
      full: () => tell('full'),
      snapshotStored: (position) => tell(`stored ${position}`),
      installHeldUp: () => tell('held up'),
      snapshotInstalled: ({ index }) => tell(`installed ${index}`),
      failed: ({ code }) => tell(`failed ${code}`),
    };
    this.log = new QuorumLog(log, events);
  }

  /** A snapshot of the two entries; there is no room only for its place. Gives whether it has got it. */
  async compact(lacking: Stage['lacking']): Promise<boolean> {
    const { world } = this;
    const writer = await world.complete(this.raftLog.beginSnapshot(2, 1));
    await world.complete(writer.append(payload('all')));
    await world.complete(writer.finish());
    this.lacking = lacking;
    return await world.complete(this.log.compact(writer));
  }

  async carryOut(output: Partial<RaftOutput>): Promise<void> {
    this.log.carryOut({ ...NOTHING, ...output });
    await this.world.world.run(this.world.world.clock.now() + 100);
  }
}

describe('a snapshot that takes the place of the log', () => {
  test.each<readonly [string, DiskOperation, RegExp, after: RegExp | undefined]>([
    ['its name', 'rename', /snapshot\.new$/, undefined],
    ['its name to last', 'syncDir', /metadata$/, undefined],
    ['the segment behind it', 'open', /\.raft\.new$/, undefined],
    ['what stands in that segment', 'write', /\.raft\.new$/, undefined],
    ['the name of that segment', 'rename', /\.raft\.new$/, undefined],
    ['its last name', 'rename', /\.install$/, undefined],
    ['its last name to last', 'syncDir', /metadata$/, /\.install$/],
  ])('waits while there is no room for %s, and all else waits for it', async (_, operation, path, after) => {
    const stage = new Stage(1);
    await stage.open();
    await stage.carryOut({ storeSnapshot: PIECES.slice(0, 1) });
    stage.lacking = { operation, path };
    stage.after = after && { operation: 'rename', path: after };
    await stage.carryOut({ storeSnapshot: PIECES.slice(1) });
    await stage.carryOut({ append: entries(10, 5, ['k']) });
    expect(stage.told).toEqual(['stored 0', 'held up', 'held up']);
    stage.lacking = undefined;
    await stage.carryOut({});
    expect(stage.told.slice(3)).toEqual(['installed 10', 'persisted 11']);
    await stage.world.crash();
    const { recovered } = await stage.world.open();
    expect([recovered.snapshot?.index, texts(recovered.entries)]).toEqual([10, ['k']]);
  });

  test('and waits for room is found by the next start, which goes on with it', async () => {
    const stage = new Stage(2);
    await stage.open();
    stage.lacking = { operation: 'write', path: /\.raft\.new$/ };
    await stage.carryOut({ storeSnapshot: PIECES });
    expect(stage.told).toEqual(['stored 0', 'held up']);
    await stage.world.complete(stage.log.close());
    await stage.world.kill();
    stage.lacking = undefined;
    await stage.world.crash();
    expect((await stage.world.open()).recovered.snapshot?.index).toBe(10);
  });

  test('is dropped where there is no room for its pieces: nothing of the log has gone yet', async () => {
    const stage = new Stage(3);
    await stage.open();
    stage.lacking = { operation: 'write', path: /snapshot\.new$/ };
    await stage.carryOut({ storeSnapshot: PIECES });
    stage.lacking = undefined;
    await stage.carryOut({ append: entries(2, 1, ['c']) });
    expect(stage.told).toEqual(['full', 'persisted 3']);
  });
});

describe('without a file handle', () => {
  test('a vote waits to be saved, and the node goes on', async () => {
    const stage = new Stage(5);
    await stage.open();
    stage.code = 'EMFILE';
    stage.lacking = { operation: 'open', path: /quorum-state/ };
    await stage.carryOut({ hardState: { epoch: 7, votedFor: null } });
    expect(stage.told).toEqual([]);
    stage.lacking = undefined;
    await stage.carryOut({});
    expect(stage.told).toEqual(['hard state saved']);
  });

  test('a new segment waits: what was to be written to it is dropped, and taken when it is sent again', async () => {
    const stage = new Stage(6);
    await stage.open({ segmentBytes: 1 });
    stage.code = 'EMFILE';
    stage.lacking = { operation: 'open', path: /[.]raft/ };
    await stage.carryOut({ append: entries(2, 1, ['c']) });
    expect(stage.told).toEqual(['full']);
    stage.lacking = undefined;
    await stage.carryOut({ append: entries(2, 1, ['c']) });
    expect(stage.told.slice(1)).toEqual(['persisted 3']);
  });
});

describe('a snapshot of its own', () => {
  test.each<readonly [string, DiskOperation, RegExp]>([
    ['its name', 'rename', /snapshot\.new$/],
    ['its name to last', 'syncDir', /metadata$/],
  ])('that finds no room for %s is given up: the log goes on, and takes the next one', async (_, operation, path) => {
    const stage = new Stage(4);
    await stage.open();
    expect(await stage.compact({ operation, path })).toBe(false);
    await stage.carryOut({ append: entries(2, 1, ['c']) });
    expect(stage.told).toEqual(['persisted 3']);
    expect(await stage.compact(undefined)).toBe(true);
    await stage.world.crash();
    const { recovered } = await stage.world.open();
    expect([recovered.snapshot?.index, texts(recovered.entries)]).toEqual([2, ['c']]);
  });
});
