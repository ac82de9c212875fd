import type { Ports } from '#base/ports';
import { KAFKA_PORT } from '../machine.ts';
import { type Answer, type Call, KafkaClient } from './kafka-client.ts';

/** A client's connections to the nodes, one to each that it has asked. */
export class Connections {
  readonly #ports: Ports;
  readonly #byNode = new Map<string, KafkaClient>();

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  async ask<Q, R>(node: string, call: Call<Q, R>, value: Q, timeoutMs: number): Promise<Answer<R>> {
    let connection = this.#byNode.get(node);
    if (connection === undefined || connection.isClosed) {
      connection = KafkaClient.open(this.#ports, { host: node, port: KAFKA_PORT });
      this.#byNode.set(node, connection);
    }
    return await connection.request(call, value, timeoutMs);
  }

  close(): void {
    for (const connection of this.#byNode.values()) connection.close();
  }
}
