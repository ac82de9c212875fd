import type { Disk, File } from '#base/ports';

/**
 * A disk whose sync of some files succeeds and does nothing: over a FaultDisk, a node that has its fsync call of those
 * files switched off.
 */
export function forgetfulDisk(disk: Disk, forgets: (path: string) => boolean): Disk {
  return {
    path: disk.path,
    lock: () => disk.lock(),
    open: async (path, mode) => {
      const file = await disk.open(path, mode);
      return forgets(path) ? withoutSync(file) : file;
    },
    list: (path) => disk.list(path),
    makeDir: (path) => disk.makeDir(path),
    rename: (from, to) => disk.rename(from, to),
    remove: (path) => disk.remove(path),
    syncDir: (path) => disk.syncDir(path),
    freeBytes: () => disk.freeBytes(),
    totalBytes: () => disk.totalBytes(),
    close: () => disk.close(),
  };
}

function withoutSync(file: File): File {
  return {
    read: (into, at, done) => file.read(into, at, done),
    write: (chunks, at, done) => file.write(chunks, at, done),
    // A read of nothing keeps the order in which the file's operations complete.
    sync: (done) => file.read(new Uint8Array(0), 0, (failure) => done(failure, 0)),
    sizeBytes: () => file.sizeBytes(),
    truncate: (sizeBytes) => file.truncate(sizeBytes),
    close: () => file.close(),
  };
}
