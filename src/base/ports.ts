/**
 * The ports of a node: every effect that it can have on the world, and every way in which the world reaches it.
 * `new Node(ports, config)` is the whole node; the simulator hands the same class simulated ports.
 *
 * Hot calls (read, write, sync, send, received) are callbacks that end in a synchronous step; cold calls are promises.
 * A completion runs in a turn of its own, never inside the call that asked for it; those of one file or one connection
 * run in the order asked. After a crash or a close none runs. No port throws, or rejects with anything but IoError.
 */
export interface Ports {
  readonly clock: Clock;
  readonly random: Random;
  /** One per data directory; the first also holds the metadata log. */
  readonly disks: readonly Disk[];
  readonly network: Network;
  readonly codecs: Codecs;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** A broken invariant. Process: print and abort. Simulator: the seed fails. Embedded cluster: this node is dead. */
  fatal(error: Error): never;
}

/** Milliseconds since the start of the node's clock; never goes back. */
export type Mono = number;
/** Milliseconds since the Unix epoch. */
export type Timestamp = number;

export interface Clock {
  /** One value per turn; every decision uses this. */
  now(): Mono;
  /** For record timestamps and log lines only. */
  wall(): Timestamp;
  /** Fires only after a poll that began at or after its due time; `lateMs` says how much later than asked. */
  timer(fire: (lateMs: number) => void): Timer;
  /** Runs in the next turn, after I/O was served: how long work is cut into slices. */
  defer(run: () => void): void;
}

export interface Timer {
  /** Re-arming moves it and allocates nothing. */
  arm(delayMs: number): void;
  disarm(): void;
}

export interface Random {
  uint32(): number;
  /** An independent stream: one more draw here changes nothing there. */
  fork(purpose: string): Random;
  /** Ids, salts, nonces: the kernel's in production. */
  secret(into: Uint8Array): void;
}

export type IoErrorCode = 'ENOSPC' | 'EIO' | 'ENOENT' | 'EEXIST' | 'ELOCKED' | 'EMFILE' | 'EACCES';
export type IoError = Error & { readonly code: IoErrorCode };
export type Done = (failure: IoError | undefined, bytes: number) => void;

/** One data directory; paths are relative to it, separated by '/'; '' or '.' is the directory itself. */
export interface Disk {
  /** A name for log lines and DescribeLogDirs: the absolute path in production. */
  readonly path: string;
  /** ELOCKED while another process holds it; released at the holder's death, or by close(). */
  lock(): Promise<void>;
  /** `write` creates the file if it is missing (durable after syncDir of its folder) and reads as well; `read` gives ENOENT. */
  open(path: string, mode: 'read' | 'write'): Promise<File>;
  /** Names in the folder, sorted; ENOENT if there is no such folder. */
  list(path: string): Promise<readonly string[]>;
  /** Makes the folder and its parents; no error if it is there. */
  makeDir(path: string): Promise<void>;
  /** Replaces `to` if it is a file. */
  rename(from: string, to: string): Promise<void>;
  /** A file, or a folder with all that is in it; no error if it is not there. */
  remove(path: string): Promise<void>;
  /** Makes creates, renames and removes in the folder durable. */
  syncDir(path: string): Promise<void>;
  freeBytes(): Promise<number>;
  totalBytes(): Promise<number>;
  /** Releases the lock. Files are closed by their owners first. */
  close(): Promise<void>;
}

export interface File {
  /** Fewer bytes only at the end of the file. */
  read(into: Uint8Array, at: number, done: Done): void;
  /** All or failure (then the bytes from `at` on are unknown); chunks are lent until done. */
  write(chunks: readonly Uint8Array[], at: number, done: Done): void;
  /** Covers the writes whose done ran before this call; after a failure the file accepts nothing more. */
  sync(done: Done): void;
  sizeBytes(): Promise<number>;
  truncate(sizeBytes: number): Promise<void>;
  close(): Promise<void>;
}

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export interface Network {
  /** Port 0 picks a free one; `Listener.at` tells it. Rejects with EACCES or EEXIST (address in use). */
  listen(at: Endpoint, accept: (connection: Connection) => Receiver): Promise<Listener>;
  /** closed('refused') if nobody listens. */
  connect(to: Endpoint, open: (connection: Connection) => Receiver): void;
}

export interface Listener {
  readonly at: Endpoint;
  /** Accepts nothing more; open connections stay open. */
  close(): Promise<void>;
}

export interface Connection {
  readonly remote: Endpoint;
  /** Sent, not yet taken by the kernel: the caller bounds it. */
  readonly queuedBytes: number;
  /** One writev; chunks are lent until `flushed` says so. */
  send(chunks: readonly Uint8Array[]): void;
  /** Stop reading. */
  pause(): void;
  resume(): void;
  /** Flush, then FIN. */
  end(): void;
  /** Drop all at once. */
  reset(): void;
}

export interface Receiver {
  /** Where the next read goes: the node's shared slab, or the rest of a large frame. Never empty. */
  buffer(): Uint8Array;
  /** `bytes` were read into the last `buffer()`. Consumes them before it returns; what it keeps from the shared slab, it copies. */
  received(bytes: number): void;
  /** Earlier sends are out but for the last `queuedBytes`. */
  flushed(queuedBytes: number): void;
  /** Once, last. */
  closed(cause: 'end' | 'reset' | 'refused' | 'timeout' | 'error'): void;
}

/** Kafka's codec numbers (attributes bits 0-2 of a record batch). */
export const Codec = { None: 0, Gzip: 1, Snappy: 2, Lz4: 3, Zstd: 4 } as const;
export type Codec = (typeof Codec)[keyof typeof Codec];

/** Compression and checksums as synchronous functions; the simulator uses the same. */
export interface Codecs {
  /** CRC-32C (Castagnoli), unsigned; `seed` continues an earlier result. */
  crc32c(bytes: Uint8Array, seed?: number): number;
  /** 'unavailable' if the native codec is missing. Snappy is written in xerial framing, lz4 in frame format, as Kafka's Java client does. */
  compress(codec: Codec, bytes: Uint8Array, level?: number): Uint8Array | 'unavailable';
  /** Never allocates more than about `maxBytes`, whatever the input claims. */
  decompress(codec: Codec, bytes: Uint8Array, maxBytes: number): Uint8Array | 'corrupt' | 'too-large' | 'unavailable';
}

export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export type Labels = Readonly<Record<string, string>>;

/** Registration of what is measured. Hot paths add to plain number fields; whoever serves /metrics reads them when asked. */
export interface Metrics {
  counter(name: string, help: string, labels?: Labels): { value: number };
  gauge(name: string, help: string, read: () => number, labels?: Labels): void;
  histogram(name: string, help: string, buckets: readonly number[], labels?: Labels): { observe(value: number): void };
  /** Many series of one name, written as text when asked: one row per series. An undefined one is a pause, in which others may run. */
  series(
    name: string,
    help: string,
    type: 'counter' | 'gauge',
    rows: () => Iterable<readonly [Labels, number] | undefined>,
  ): void;
}
