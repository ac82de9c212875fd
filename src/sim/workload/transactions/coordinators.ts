import { ErrorCode } from '#model/errors';
import type { Client } from '../client.ts';
import { FIND_COORDINATOR } from './transaction-calls.ts';

const REQUEST_TIMEOUT_MS = 1000;
const KEY_TYPES = { group: 0, transaction: 1 } as const;

export type CoordinatorKind = keyof typeof KEY_TYPES;

/** Who coordinates what, as one client has last heard. */
export class Coordinators {
  readonly #client: Client;
  readonly #known = new Map<string, string>();

  constructor(client: Client) {
    this.#client = client;
  }

  /** The node's host; any node is asked if none is known. Undefined: try again later. */
  async of(kind: CoordinatorKind, key: string): Promise<string | undefined> {
    const known = this.#known.get(`${kind} ${key}`);
    if (known !== undefined) return known;
    const node = this.#client.anyNode();
    const request = { keyType: KEY_TYPES[kind], coordinatorKeys: [key] };
    const { response } = await this.#client.ask(node, FIND_COORDINATOR, request, REQUEST_TIMEOUT_MS);
    const found = response?.coordinators[0];
    if (found?.errorCode !== ErrorCode.None) return undefined;
    this.#known.set(`${kind} ${key}`, found.host);
    return found.host;
  }

  forget(kind: CoordinatorKind, key: string): void {
    this.#known.delete(`${kind} ${key}`);
  }
}
