import { assert, at, unreachable } from '#base/assert';
import type { Disk, IoErrorCode, Random } from '#base/ports';
import { VolatileFile } from './volatile-file.ts';

/**
 * A file or folder, whatever its name is now. One that only exists on the inner disk so far has neither `file` nor
 * `folder`: which of them it is shows when it is used.
 */
export interface Inode {
  /** Where it is on the inner disk; undefined until the folder that names it was synced, and after its durable removal. */
  home: { readonly parent: Inode; readonly name: string } | undefined;
  file: VolatileFile | undefined;
  folder: Folder | undefined;
  /** It has lost its last name, durably or not: once its handles are closed, nobody can ask for what it held unsynced. */
  unlinked: boolean;
}

interface Folder {
  /** As its users see it. */
  readonly names: Map<string, Inode>;
  /** What has happened to its names and is not on the inner disk, in order. */
  changes: NameChange[];
  /** How many of `changes` were synced: more than none only while the folder itself has no home. */
  settledCount: number;
}

type NameChange =
  | { readonly kind: 'create'; readonly name: string; readonly inode: Inode }
  | { readonly kind: 'remove'; readonly inode: Inode }
  | { readonly kind: 'rename'; readonly to: string; readonly inode: Inode; readonly replaced: Inode | undefined };

/** The names of a FaultDisk: the inner disk's, and over them what was not synced. Its owner calls one method at a time. */
export class VolatileTree {
  readonly #inner: Disk;
  readonly #root = newInode(undefined);
  /** Those with a loaded content. */
  readonly #files = new Set<Inode>();

  constructor(inner: Disk) {
    this.#inner = inner;
  }

  /** The file with its content; undefined if there is none and it is not to be created, or no folder for it. */
  async file(path: string, create: boolean): Promise<Inode | undefined> {
    const place = await this.#place(path);
    if (place === undefined) return undefined;
    let inode = place.folder.names.get(place.name);
    if (inode === undefined) {
      if (!create) return undefined;
      inode = newInode(undefined);
      inode.file = new VolatileFile(undefined, 0);
      place.folder.names.set(place.name, inode);
      place.folder.changes.push({ kind: 'create', name: place.name, inode });
    }
    if (inode.file === undefined) {
      if ((await this.#load(inode)) !== undefined) return undefined;
      const file = await this.#inner.open(this.#innerPath(inode), 'write');
      inode.file = new VolatileFile(file, await file.sizeBytes());
    }
    this.#files.add(inode);
    return inode;
  }

  async folder(path: string): Promise<Folder | undefined> {
    const inode = await this.#walk(segments(path));
    return inode && this.#load(inode);
  }

  async makeFolder(path: string): Promise<void> {
    let parent = this.#root;
    for (const name of segments(path)) {
      const folder = await this.#load(parent);
      assert(folder !== undefined, `a file is in the way of the folder ${path}`);
      let inode = folder.names.get(name);
      if (inode === undefined) {
        inode = newInode(undefined);
        inode.folder = newFolder();
        folder.names.set(name, inode);
        folder.changes.push({ kind: 'create', name, inode });
      }
      parent = inode;
    }
  }

  /** The code of its failure, if it fails. */
  async rename(from: string, to: string): Promise<IoErrorCode | undefined> {
    const source = await this.#place(from);
    const target = await this.#place(to);
    const inode = source?.folder.names.get(source.name);
    if (source === undefined || target === undefined || inode === undefined) return 'ENOENT';
    const replaced = target.folder.names.get(target.name);
    if (replaced === inode) return undefined;
    if (replaced !== undefined && (await this.#load(replaced)) !== undefined) return 'EEXIST';
    const crosses = source.folder !== target.folder;
    if (crosses) {
      await this.#syncAlong(source.parents);
      await this.#syncAlong(target.parents);
    }
    source.folder.names.delete(source.name);
    target.folder.names.set(target.name, inode);
    target.folder.changes.push({ kind: 'rename', to: target.name, inode, replaced });
    if (replaced !== undefined) await this.#unlink(replaced);
    if (crosses) await this.#syncAlong(target.parents);
    return undefined;
  }

  async remove(path: string): Promise<void> {
    const place = await this.#place(path);
    const inode = place?.folder.names.get(place.name);
    if (place === undefined || inode === undefined) return;
    place.folder.names.delete(place.name);
    place.folder.changes.push({ kind: 'remove', inode });
    await this.#unlink(inode);
  }

  /** Makes what has happened to the folder's names durable; false if there is no such folder. */
  async sync(path: string): Promise<boolean> {
    const inode = await this.#walk(segments(path));
    if (inode === undefined || (await this.#load(inode)) === undefined) return false;
    await this.#sync(inode);
    return true;
  }

  /** A handle was closed: a file that nobody uses and that holds nothing unsynced, or that is gone, is forgotten. */
  async release(inode: Inode): Promise<void> {
    const { file } = inode;
    if (file === undefined || file.users > 0) return;
    // A crash may still bring back, whole, what was synced and lost its name since: before it had one on the inner disk.
    const isVolatile = inode.home === undefined;
    if (inode.unlinked ? isVolatile && file.hasSettled : isVolatile || file.hasChanges) return;
    inode.file = undefined;
    this.#files.delete(inode);
    await file.close();
  }

  async close(): Promise<void> {
    for (const inode of this.#files) await inode.file?.close();
  }

  /** Of the changes of each folder that were not synced, the first few are kept, as a file system's journal does. */
  async crash(random: Random): Promise<void> {
    for (const inode of [...this.#folders(this.#root)]) {
      const { folder } = inode;
      if (folder === undefined) continue;
      const unsettled = folder.changes.length - folder.settledCount;
      folder.settledCount += random.uint32() % (unsettled + 1);
      if (this.#isDurable(inode)) await this.#replay(inode);
    }
    for (const inode of this.#files) await inode.file?.crash(random);
  }

  async #unlink(inode: Inode): Promise<void> {
    inode.unlinked = true;
    await this.release(inode);
    for (const child of inode.folder?.names.values() ?? []) await this.#unlink(child);
  }

  /** Syncs the root and each folder on the way. */
  async #syncAlong(names: readonly string[]): Promise<void> {
    await this.#sync(this.#root);
    for (let depth = 1; depth <= names.length; depth++) {
      const folder = await this.#walk(names.slice(0, depth));
      assert(folder !== undefined, 'the folders on the way are there');
      await this.#sync(folder);
    }
  }

  async #sync(inode: Inode): Promise<void> {
    const { folder } = inode;
    assert(folder !== undefined, 'a folder is loaded before it is synced');
    folder.settledCount = folder.changes.length;
    if (!this.#isDurable(inode)) return;
    await this.#replay(inode);
    await this.#inner.syncDir(this.#innerPath(inode));
  }

  /** Brings the settled changes of a folder that has a home to the inner disk, in order: a kill in between leaves a prefix. */
  async #replay(inode: Inode): Promise<void> {
    const { folder } = inode;
    if (folder === undefined) return;
    while (folder.settledCount > 0) {
      const change = at(folder.changes, 0);
      folder.changes = folder.changes.slice(1);
      folder.settledCount -= 1;
      await this.#replayChange(inode, change);
    }
  }

  async #replayChange(parent: Inode, change: NameChange): Promise<void> {
    const { inode } = change;
    switch (change.kind) {
      case 'create':
        inode.home = { parent, name: change.name };
        if (inode.folder !== undefined) {
          await this.#inner.makeDir(this.#innerPath(inode));
          await this.#replay(inode);
          return;
        }
        await this.#createFile(inode);
        await this.release(inode);
        return;
      case 'rename': {
        const from = this.#innerPath(inode);
        if (change.replaced !== undefined) change.replaced.home = undefined;
        inode.home = { parent, name: change.to };
        await this.#inner.rename(from, this.#innerPath(inode));
        return;
      }
      case 'remove':
        await this.#inner.remove(this.#innerPath(inode));
        inode.home = undefined;
        return;
      default:
        unreachable(change);
    }
  }

  async #createFile(inode: Inode): Promise<void> {
    const created = await this.#inner.open(this.#innerPath(inode), 'write');
    if (inode.file === undefined) {
      await created.close();
      return;
    }
    inode.file.attach(created);
    await inode.file.flush();
  }

  /** The inode as a folder, its names read from the inner disk at first use; undefined if it is a file. */
  async #load(inode: Inode): Promise<Folder | undefined> {
    if (inode.folder !== undefined || inode.file !== undefined) return inode.folder;
    let list: readonly string[];
    try {
      list = await this.#inner.list(this.#innerPath(inode));
    } catch (failure) {
      if ((failure as { code?: string }).code === 'ENOENT') return undefined;
      throw failure;
    }
    inode.folder = newFolder();
    for (const name of list) inode.folder.names.set(name, newInode({ parent: inode, name }));
    return inode.folder;
  }

  async #walk(names: readonly string[]): Promise<Inode | undefined> {
    let inode: Inode | undefined = this.#root;
    for (const name of names) {
      const folder: Folder | undefined = await this.#load(inode);
      inode = folder?.names.get(name);
      if (inode === undefined) return undefined;
    }
    return inode;
  }

  /** The folder that a path lies in, and its last name. */
  async #place(path: string): Promise<{ parents: readonly string[]; folder: Folder; name: string } | undefined> {
    const parents = segments(path);
    const name = parents.pop();
    assert(name !== undefined, 'the data directory itself is not opened, renamed or removed');
    const parent = await this.#walk(parents);
    const folder = parent && (await this.#load(parent));
    return folder && { parents, folder, name };
  }

  #isDurable(inode: Inode): boolean {
    return inode === this.#root || inode.home !== undefined;
  }

  #innerPath(inode: Inode): string {
    if (inode === this.#root) return '';
    assert(inode.home !== undefined, 'only what is on the inner disk has a path there');
    const parent = this.#innerPath(inode.home.parent);
    return parent === '' ? inode.home.name : `${parent}/${inode.home.name}`;
  }

  /** The folders that were used and have a name, or had one until a change that is not on the inner disk: parents first. */
  *#folders(inode: Inode): Generator<Inode> {
    const { folder } = inode;
    if (folder === undefined) return;
    yield inode;
    const children = new Set(folder.names.values());
    for (const change of folder.changes) children.add(change.inode);
    for (const child of children) yield* this.#folders(child);
  }
}

function newInode(home: Inode['home']): Inode {
  return { home, file: undefined, folder: undefined, unlinked: false };
}

function newFolder(): Folder {
  return { names: new Map(), changes: [], settledCount: 0 };
}

function segments(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}
