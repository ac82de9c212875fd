/** A file system of a node's own, which has no room left: the kernel itself refuses writes, or takes only the first part of one. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmdirSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { sleep } from '../../test/support/process.ts';
import type { Fault } from './fault.ts';
import { leadAgain } from './lead-again.ts';
import { hasLogged } from './logged.ts';

const KIBIBYTE = 1024;
/** It is in memory; what is not used takes none. */
const ROOM_BYTES = 2 * KIBIBYTE ** 3;
/** What is left to it, so that it gets full within a write. */
const LEFT_BYTES = 64 * KIBIBYTE;
const SHRINKS = 20;
const SHRINKS_AGAIN_MS = 50;

function mount(...args: readonly string[]): void {
  execFileSync('mount', args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

const aside = (dataDir: string): string => `${dataDir}.aside`;

/** Nobody sees these mounts but this process and those that it starts; they are gone when the last of these is. */
function missing(): string | undefined {
  const trial = ['--mount', 'mount', '-t', 'tmpfs', 'odradek', tmpdir()];
  return spawnSync('unshare', trial, { stdio: 'ignore' }).status === 0 ? undefined : 'no file system can be mounted';
}

/** A folder's files go to a file system of their own, which takes its place. */
function moveIn(dataDir: string): void {
  mkdirSync(aside(dataDir));
  mount('-t', 'tmpfs', '-o', `size=${ROOM_BYTES}`, 'odradek', aside(dataDir));
  cpSync(dataDir, aside(dataDir), { recursive: true, preserveTimestamps: true });
  mount('--move', aside(dataDir), dataDir);
}

function moveOut(dataDir: string): void {
  mount('--move', dataDir, aside(dataDir));
  rmSync(dataDir, { recursive: true });
  cpSync(aside(dataDir), dataDir, { recursive: true, preserveTimestamps: true });
  execFileSync('umount', [aside(dataDir)]);
  rmdirSync(aside(dataDir));
}

const resize = (dataDir: string, sizeBytes: number): void => mount('-o', `remount,size=${sizeBytes}`, dataDir);

/** To what is used, and a little more; the kernel refuses if by then more is used. */
async function shrink(dataDir: string): Promise<void> {
  for (let left = SHRINKS; ; left -= 1) {
    const { blocks, bfree, bsize } = statfsSync(dataDir);
    try {
      resize(dataDir, (blocks - bfree) * bsize + LEFT_BYTES);
      return;
    } catch (failure) {
      if (left === 0) throw failure;
      await sleep(SHRINKS_AGAIN_MS);
    }
  }
}

/** What a node says that has found none, whatever it was for. */
const NO_ROOM = 'no room';
let beganAtMs = Number.POSITIVE_INFINITY;

export const FULL_FILE_SYSTEM: Fault = {
  name: 'file-system-full',
  what: 'the file system of a node (a tmpfs, in the place of its data directory) is shrunk to what is used of it',
  expected: 'it refuses writes, and recovers by itself when there is room',
  needsHosts: true,
  mixes: false,
  // It writes as much as fills what is left to it.
  target: 'leader',
  missing,
  prepare: async ({ cluster }, id) => {
    await cluster.stop(id);
    moveIn(cluster.member(id).dataDir);
    cluster.spawn(id);
    await cluster.inSync();
    await leadAgain(cluster);
  },
  begin: ({ cluster }, id) => {
    beganAtMs = Date.now();
    return shrink(cluster.member(id).dataDir);
  },
  end: async ({ cluster }, id) => {
    resize(cluster.member(id).dataDir, ROOM_BYTES);
    if (!hasLogged(cluster.said(id), NO_ROOM, beganAtMs)) throw new Error(`node ${id} has felt nothing`);
  },
  tidy: async ({ cluster }, id) => {
    await cluster.stop(id);
    moveOut(cluster.member(id).dataDir);
    cluster.spawn(id);
    await cluster.inSync();
  },
};

/** The folder can be removed when this is disposed of: whatever is mounted in it is there no more. */
export function mountsIn(folder: string): Disposable {
  return {
    [Symbol.dispose]: () => {
      for (const place of mountPoints(readFileSync('/proc/self/mountinfo', 'utf8'), folder)) {
        execFileSync('umount', ['--lazy', place]);
      }
    },
  };
}

/** Of a text as of /proc/self/mountinfo: where something is mounted below a folder, the last first. */
export function mountPoints(mountinfo: string, folder: string): readonly string[] {
  const places = mountinfo.split('\n').map((line) => line.split(' ')[4] ?? '');
  return places.filter((place) => place.startsWith(`${folder}/`)).reverse();
}
