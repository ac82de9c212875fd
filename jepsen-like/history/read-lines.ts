import { closeSync, openSync, readSync } from 'node:fs';

const CHUNK_BYTES = 1 << 20;
const NEWLINE = 0x0a;

/** The lines of a file, one chunk of it in memory at a time; `whole` is false of a last line that has no end. */
export function* readLines(path: string): Iterable<{ readonly text: string; readonly whole: boolean }> {
  const fd = openSync(path, 'r');
  try {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    let rest: Buffer = Buffer.alloc(0);
    for (let size = readSync(fd, chunk); size > 0; size = readSync(fd, chunk)) {
      const read = chunk.subarray(0, size);
      let from = 0;
      for (let end = read.indexOf(NEWLINE); end >= 0; end = read.indexOf(NEWLINE, from)) {
        const line = read.subarray(from, end);
        yield { text: (rest.length > 0 ? Buffer.concat([rest, line]) : line).toString(), whole: true };
        rest = Buffer.alloc(0);
        from = end + 1;
      }
      rest = Buffer.concat([rest, read.subarray(from)]);
    }
    if (rest.length > 0) yield { text: rest.toString(), whole: false };
  } finally {
    closeSync(fd);
  }
}
