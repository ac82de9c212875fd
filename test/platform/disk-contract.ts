import { describe, expect, it } from 'vitest';
import type { Disk, File, IoError } from '#base/ports';

/** A disk to test, and how promises over it come to settle. */
export interface DiskHarness {
  readonly disk: Disk;
  settle<T>(promise: Promise<T>): Promise<T>;
  dispose(): Promise<void>;
}

export function write(file: File, text: string, at: number): Promise<number> {
  return new Promise((resolve, reject) => {
    file.write([Buffer.from(text)], at, (failure, bytes) => (failure ? reject(failure) : resolve(bytes)));
  });
}

export function sync(file: File): Promise<void> {
  return new Promise((resolve, reject) => file.sync((failure) => (failure ? reject(failure) : resolve())));
}

export function read(file: File, at: number, length: number): Promise<string> {
  const into = Buffer.alloc(length);
  return new Promise((resolve, reject) => {
    file.read(into, at, (failure, bytes) => (failure ? reject(failure) : resolve(into.toString('latin1', 0, bytes))));
  });
}

export function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no failure',
    (failure: IoError) => failure.code,
  );
}

/** What every Disk does, whatever is behind it. */
export function describeDisk(name: string, make: () => Promise<DiskHarness>): void {
  describe(`${name}, as a disk,`, () => {
    const on = (title: string, body: (harness: DiskHarness) => Promise<void>): void => {
      it(title, async () => {
        const harness = await make();
        try {
          await body(harness);
        } finally {
          await harness.dispose();
        }
      });
    };

    on('reads what was written, to the end of the file and no further', async ({ disk, settle }) => {
      const file = await settle(disk.open('log', 'write'));
      expect(await settle(write(file, 'hello world', 0))).toBe(11);
      expect(await settle(read(file, 0, 5))).toBe('hello');
      expect(await settle(read(file, 6, 100))).toBe('world');
      expect(await settle(read(file, 11, 10))).toBe('');
      expect(await settle(read(file, 500, 10))).toBe('');
      expect(await settle(read(file, 0, 0))).toBe('');
      expect(await settle(file.sizeBytes())).toBe(11);
      await settle(file.close());
    });

    on('writes all chunks of a write, however many there are', async ({ disk, settle }) => {
      const file = await settle(disk.open('log', 'write'));
      const chunks = Array.from({ length: 3000 }, (_, index) => Buffer.from(`${index},`));
      const whole = Buffer.concat(chunks).toString();
      const written = new Promise<number>((resolve, reject) => {
        file.write(chunks, 3, (failure, bytes) => (failure ? reject(failure) : resolve(bytes)));
      });
      expect(await settle(written)).toBe(whole.length);
      expect(await settle(read(file, 0, whole.length + 100))).toBe(`\0\0\0${whole}`);
      await settle(file.close());
    });

    on('overwrites, leaves zeros in holes, and truncates both ways', async ({ disk, settle }) => {
      const file = await settle(disk.open('log', 'write'));
      await settle(write(file, 'abcdef', 0));
      await settle(write(file, 'XY', 2));
      await settle(write(file, 'z', 8));
      expect(await settle(read(file, 0, 20))).toBe('abXYef\0\0z');
      await settle(file.truncate(3));
      expect(await settle(read(file, 0, 20))).toBe('abX');
      await settle(file.truncate(5));
      expect(await settle(read(file, 0, 20))).toBe('abX\0\0');
      await settle(write(file, '!', 5));
      expect(await settle(read(file, 0, 20))).toBe('abX\0\0!');
      expect(await settle(file.sizeBytes())).toBe(6);
      await settle(file.close());
    });

    on('completes the operations of a file in the order asked, and never inside the call', async ({ disk, settle }) => {
      const file = await settle(disk.open('log', 'write'));
      const completed: string[] = [];
      const all = new Promise<void>((resolve) => {
        const into = Buffer.alloc(6);
        file.write([Buffer.from('first')], 0, () => completed.push('write'));
        file.sync(() => completed.push('sync'));
        file.write([Buffer.from('later!')], 0, () => completed.push('write again'));
        file.read(into, 0, (_, bytes) => completed.push(`read ${into.toString('latin1', 0, bytes)}`));
        file.sync(() => completed.push('sync again'));
        file.write([], 0, (_, bytes) => completed.push(`write ${bytes}`));
        file.read(Buffer.alloc(6), 5, (_, bytes) => {
          completed.push(`read ${bytes}`);
          resolve();
        });
      });
      expect(completed).toEqual([]);
      await settle(all);
      expect(completed).toEqual(['write', 'sync', 'write again', 'read later!', 'sync again', 'write 0', 'read 1']);
      await settle(file.close());
    });

    on('runs no completion after the close of the file', async ({ disk, settle }) => {
      const file = await settle(disk.open('log', 'write'));
      let completed = 0;
      const count = (): void => {
        completed += 1;
      };
      for (let index = 0; index < 10; index++) file.write([Buffer.from('abc')], index, count);
      file.sync(count);
      await settle(file.close());
      const again = await settle(disk.open('log', 'write'));
      await settle(read(again, 0, 1));
      expect(completed).toBe(0);
      await settle(again.close());
    });

    on('has one content for two handles of a path', async ({ disk, settle }) => {
      const writer = await settle(disk.open('log', 'write'));
      const reader = await settle(disk.open('log', 'read'));
      await settle(write(writer, 'shared', 0));
      expect(await settle(read(reader, 0, 10))).toBe('shared');
      await settle(writer.close());
      expect(await settle(read(reader, 0, 10))).toBe('shared');
      await settle(reader.close());
    });

    on('opens a missing file for writing only, and never in a missing folder', async ({ disk, settle }) => {
      expect(await codeOf(settle(disk.open('none', 'read')))).toBe('ENOENT');
      expect(await codeOf(settle(disk.open('none/log', 'write')))).toBe('ENOENT');
      const file = await settle(disk.open('none', 'write'));
      expect(await settle(file.sizeBytes())).toBe(0);
      await settle(file.close());
      const again = await settle(disk.open('none', 'read'));
      await settle(again.close());
    });

    on('lists the names of a folder in order', async ({ disk, settle }) => {
      expect(await settle(disk.list(''))).toEqual([]);
      await settle(disk.makeDir('b/inner'));
      await settle(disk.makeDir('b/inner'));
      for (const name of ['b/2', 'b/10', 'a']) await settle((await settle(disk.open(name, 'write'))).close());
      expect(await settle(disk.list(''))).toEqual(['a', 'b']);
      expect(await settle(disk.list('.'))).toEqual(['a', 'b']);
      expect(await settle(disk.list('b'))).toEqual(['10', '2', 'inner']);
      expect(await settle(disk.list('b/inner'))).toEqual([]);
      expect(await codeOf(settle(disk.list('c')))).toBe('ENOENT');
      expect(await codeOf(settle(disk.list('a')))).toBe('ENOENT');
      await settle(disk.syncDir('b'));
      expect(await codeOf(settle(disk.syncDir('c')))).toBe('ENOENT');
    });

    on('renames a file over another, and an open file keeps its content', async ({ disk, settle }) => {
      const old = await settle(disk.open('checkpoint', 'write'));
      await settle(write(old, 'old', 0));
      const fresh = await settle(disk.open('checkpoint.tmp', 'write'));
      await settle(write(fresh, 'new', 0));
      await settle(disk.rename('checkpoint.tmp', 'checkpoint'));
      expect(await settle(disk.list(''))).toEqual(['checkpoint']);
      expect(await settle(read(old, 0, 9))).toBe('old');
      await settle(write(fresh, '!', 3));
      await settle(old.close());
      await settle(fresh.close());
      const found = await settle(disk.open('checkpoint', 'read'));
      expect(await settle(read(found, 0, 9))).toBe('new!');
      await settle(found.close());
      expect(await codeOf(settle(disk.rename('none', 'checkpoint')))).toBe('ENOENT');
    });

    on('renames a folder with what is in it', async ({ disk, settle }) => {
      await settle(disk.makeDir('topic-0'));
      const file = await settle(disk.open('topic-0/log', 'write'));
      await settle(write(file, 'one', 0));
      await settle(disk.rename('topic-0', 'topic-0-delete'));
      await settle(write(file, 'two', 3));
      await settle(file.close());
      expect(await codeOf(settle(disk.open('topic-0/log', 'read')))).toBe('ENOENT');
      const moved = await settle(disk.open('topic-0-delete/log', 'read'));
      expect(await settle(read(moved, 0, 9))).toBe('onetwo');
      await settle(moved.close());
    });

    on('renames a file into another folder', async ({ disk, settle }) => {
      await settle(disk.makeDir('from'));
      await settle(disk.makeDir('to/deep'));
      const file = await settle(disk.open('from/log', 'write'));
      await settle(write(file, 'moved', 0));
      await settle(file.close());
      await settle(disk.rename('from/log', 'to/deep/log'));
      expect(await settle(disk.list('from'))).toEqual([]);
      const moved = await settle(disk.open('to/deep/log', 'read'));
      expect(await settle(read(moved, 0, 9))).toBe('moved');
      await settle(moved.close());
    });

    on('removes a file, a folder with all in it, and what is not there', async ({ disk, settle }) => {
      await settle(disk.makeDir('topic-0/deep'));
      for (const name of ['topic-0/log', 'topic-0/deep/log', 'other']) {
        await settle((await settle(disk.open(name, 'write'))).close());
      }
      await settle(disk.remove('other'));
      await settle(disk.remove('other'));
      expect(await settle(disk.list(''))).toEqual(['topic-0']);
      await settle(disk.remove('topic-0'));
      expect(await settle(disk.list(''))).toEqual([]);
      expect(await codeOf(settle(disk.open('topic-0/log', 'read')))).toBe('ENOENT');
    });

    on('makes a removed name anew, and it is empty', async ({ disk, settle }) => {
      const file = await settle(disk.open('log', 'write'));
      await settle(write(file, 'old', 0));
      await settle(disk.remove('log'));
      const anew = await settle(disk.open('log', 'write'));
      expect(await settle(anew.sizeBytes())).toBe(0);
      expect(await settle(read(file, 0, 3))).toBe('old');
      await settle(file.close());
      await settle(anew.close());
    });

    on('keeps what was synced, file and folder, for those who open it again', async ({ disk, settle }) => {
      await settle(disk.makeDir('topic-0'));
      const file = await settle(disk.open('topic-0/log', 'write'));
      await settle(write(file, 'kept', 0));
      await settle(sync(file));
      await settle(disk.syncDir('topic-0'));
      await settle(disk.syncDir(''));
      await settle(file.close());
      const again = await settle(disk.open('topic-0/log', 'read'));
      expect(await settle(read(again, 0, 9))).toBe('kept');
      await settle(again.close());
    });

    on('tells of its room', async ({ disk, settle }) => {
      const [free, total] = [await settle(disk.freeBytes()), await settle(disk.totalBytes())];
      expect(free).toBeGreaterThan(0);
      expect(total).toBeGreaterThanOrEqual(free);
    });

    on('is locked until it is closed', async ({ disk, settle }) => {
      await settle(disk.lock());
      expect(await settle(disk.list(''))).toEqual([]);
      await settle(disk.close());
    });
  });
}
