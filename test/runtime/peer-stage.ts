import type { Clock, Connection, Endpoint, Network, Receiver } from '#base/ports';
import { type NodeId, nodeId, type Uuid, uuidFromBytes } from '#model/ids';
import { createCodecs } from '#platform/codecs';
import { PeerNetwork } from '#runtime/peer-network';
import type { PeerHandler, PeerHello } from '#runtime/peer-types';
import { SimWorld } from '#sim/ports/sim-world';

export const PEER_PORT = 9093;

export function testUuid(number: number): Uuid {
  return uuidFromBytes(new Uint8Array(16).fill(number));
}

export const CLUSTER = testUuid(200);

/** A network whose packets can be dropped: what is open then never says anything again, and is never told. */
export class Cable implements Network {
  cut = false;
  readonly #inner: Network;
  readonly #clock: Clock;

  constructor(inner: Network, clock: Clock) {
    this.#inner = inner;
    this.#clock = clock;
  }

  listen(at: Endpoint, accept: (connection: Connection) => Receiver) {
    return this.#inner.listen(at, (connection) => this.#tap(connection, accept));
  }

  connect(to: Endpoint, open: (connection: Connection) => Receiver): void {
    this.#inner.connect(to, (connection) => this.#tap(connection, open));
  }

  #tap(connection: Connection, open: (connection: Connection) => Receiver): Receiver {
    let dead = this.cut;
    const isDead = (): boolean => {
      dead ||= this.cut;
      return dead;
    };
    const receiver = open({
      remote: connection.remote,
      get queuedBytes() {
        return connection.queuedBytes;
      },
      send: (chunks) => {
        if (!isDead()) connection.send(chunks);
      },
      pause: () => connection.pause(),
      resume: () => connection.resume(),
      end: () => {
        if (!isDead()) connection.end();
      },
      reset: () => {
        if (isDead()) this.#clock.defer(() => receiver.closed('reset'));
        else connection.reset();
      },
    });
    return {
      buffer: () => receiver.buffer(),
      received: (bytes) => {
        if (!isDead()) receiver.received(bytes);
      },
      flushed: (queuedBytes) => receiver.flushed(queuedBytes),
      closed: (cause) => {
        if (!isDead()) receiver.closed(cause);
      },
    };
  }
}

export interface NodeOptions {
  readonly host?: string;
  readonly clusterId?: Uuid | null;
  readonly directory?: number;
  readonly handlers?: Readonly<Record<string, PeerHandler>>;
}

/** A node's peer network in a simulated world, and what came up from it. */
export class TestNode {
  readonly id: NodeId;
  readonly host: string;
  readonly cable: Cable;
  readonly peers: PeerNetwork;
  /** `connected in 2 by 1`: the direction, the node, and which start of it. */
  readonly events: string[] = [];
  readonly messages: string[] = [];
  readonly log: string[] = [];

  constructor(world: SimWorld, id: number, start: number, options: NodeOptions) {
    this.id = nodeId(id);
    this.host = options.host ?? `node${id}`;
    const ports = world.ports(this.host, { disks: [] });
    this.cable = new Cable(ports.network, ports.clock);
    const write = (_: object, line: string): void => void this.log.push(line);
    const logger = { debug: write, info: write, warn: write, error: write };
    const self = {
      clusterId: options.clusterId === undefined ? CLUSTER : options.clusterId,
      id: this.id,
      directoryId: testUuid(options.directory ?? id),
      incarnation: testUuid(start),
      roles: ['broker', 'controller'],
    };
    const name = (peer: PeerHello): string =>
      `${peer.id} by ${Buffer.from(peer.incarnation, 'base64url')[0] as number}`;
    this.peers = new PeerNetwork({ ...ports, network: this.cable, logger }, self, {
      connected: (peer, direction) => this.events.push(`connected ${direction} ${name(peer)}`),
      disconnected: (peer, direction, cause) => this.events.push(`${cause} ${direction} ${name(peer)}`),
      message: (from, bytes) => this.messages.push(`${from.id}: ${Buffer.from(bytes).toString('latin1')}`),
    });
    for (const [operation, handler] of Object.entries(options.handlers ?? {})) this.peers.handle(operation, handler);
  }

  get endpoint(): Endpoint {
    return { host: this.host, port: PEER_PORT };
  }

  send(to: TestNode, text: string): boolean {
    return this.peers.send(to.id, Buffer.from(text, 'latin1'));
  }
}

export class Stage {
  readonly world: SimWorld;
  #starts = 0;

  constructor(seed = 1) {
    this.world = new SimWorld({ seed, codecs: createCodecs() });
  }

  async start(id: number, options: NodeOptions = {}): Promise<TestNode> {
    this.#starts += 1;
    const node = new TestNode(this.world, id, this.#starts, options);
    await this.world.complete(node.peers.listen({ host: '', port: PEER_PORT }, node.endpoint));
    return node;
  }

  /** Nodes that know each other's addresses. */
  async cluster(count: number, options: NodeOptions = {}): Promise<TestNode[]> {
    const nodes: TestNode[] = [];
    for (let id = 1; id <= count; id += 1) nodes.push(await this.start(id, options));
    for (const node of nodes) {
      for (const other of nodes) if (other !== node) node.peers.setAddress(other.id, other.endpoint);
    }
    return nodes;
  }

  kill(node: TestNode): void {
    this.world.kill(node.host);
  }

  pass(ms: number): Promise<void> {
    return this.world.run(this.world.clock.now() + ms);
  }
}
