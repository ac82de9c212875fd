import { type ParsedBrokerConfig, parseBrokerConfig } from '#model/parse-broker-config';
import { Node } from '#node/node';
import { createLogger } from '#platform/logger';
import { createNodePorts } from '#platform/node-ports';

export interface EmbeddedNodeOptions {
  readonly id: number;
  readonly rack: string | undefined;
  /** All its configs. */
  readonly entries: ReadonlyMap<string, string>;
  readonly folder: string;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
}

/** A node within this process, which can be started again over its data. */
export class EmbeddedNode {
  readonly id: number;
  readonly rack: string | undefined;
  readonly #options: EmbeddedNodeOptions;
  readonly #entries: Map<string, string>;
  #bootstrapServer = '';
  #node: Node | undefined;

  constructor(options: EmbeddedNodeOptions) {
    this.id = options.id;
    this.rack = options.rack;
    this.#options = options;
    this.#entries = new Map(options.entries);
  }

  /** Where clients reach it, `host:port`; the same after it was stopped and started again. */
  get bootstrapServer(): string {
    return this.#bootstrapServer;
  }

  get isRunning(): boolean {
    return this.#node?.ready === true;
  }

  get clusterId(): string | undefined {
    return this.#node?.clusterId;
  }

  /** Resolves when it serves clients; nothing if it is started already. */
  async start(): Promise<void> {
    if (this.#node !== undefined) return;
    const { folder, logLevel: level } = this.#options;
    const logger = createLogger({ level, format: 'human', fd: 2, base: { node: this.id } });
    const ports = await createNodePorts({
      dataDirs: [folder],
      logger,
      ownsProcess: false,
      poolThreads: 4,
      isUrgent: (path) => path.startsWith('metadata/'),
      // An embedded node dies alone: what it was asked stays unanswered, and the test sees the reason.
      fatal: (error) => {
        logger.error({ err: error }, 'the node of this test has failed');
        throw error;
      },
    });
    const node = new Node(ports, this.#parsed());
    this.#node = node;
    try {
      await node.start();
    } catch (failure) {
      this.#node = undefined;
      throw failure;
    }
    const [listener] = node.listeners;
    this.#bootstrapServer = `${listener?.host}:${listener?.port}`;
    // The port that it was given is its own from now on.
    const listeners = this.#entries.get('listeners') ?? '';
    this.#entries.set('listeners', listeners.replace(/:0$/, `:${listener?.port}`));
  }

  /** A clean stop, also in the middle of its start; clients are dropped, data stays. */
  async stop(): Promise<void> {
    const node = this.#node;
    await node?.stop();
    if (this.#node === node) this.#node = undefined;
  }

  #parsed(): ParsedBrokerConfig {
    const parsed = parseBrokerConfig(this.#entries);
    if ('errors' in parsed) throw new Error(parsed.errors.join('; '));
    return parsed;
  }
}
