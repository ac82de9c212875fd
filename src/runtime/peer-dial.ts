import type { Deadline } from '#base/deadlines';
import { endpointText } from '#base/endpoint-text';
import type { Connection, Endpoint } from '#base/ports';
import type { NodeId } from '#model/ids';
import { type ConnectionLoss, PeerConnection, type PeerUser } from '#net/peer-connection';
import { Lane, MESSAGE_BYTES_MAX } from '#net/peer-frames';
import { isSameNode, mistakenSentence, strangeListenerSentence, strangerSentence } from './peer-greeting.ts';
import { logFault, type PeerHost } from './peer-host.ts';
import {
  decodeHello,
  decodeSentence,
  encodeHello,
  type HelloPurpose,
  PeerKind,
  UNGREETED_MESSAGE_BYTES_MAX,
  versionSentence,
} from './peer-messages.ts';
import type { PeerHello } from './peer-types.ts';

/** Who dialled. All calls come in turns of the network. */
export interface DialOwner {
  /** Once, first. */
  greeted(hello: PeerHello): void;
  /** The peer has said hello again: the same node in another state. */
  changed(hello: PeerHello): void;
  message(kind: number, payload: Uint8Array): void;
  /** Once, last. `reason` is a sentence for the log; refused: with it one of the two turned the other away. */
  closed(loss: ConnectionLoss, reason: string, refused: boolean): void;
}

export interface DialTarget {
  readonly endpoint: Endpoint;
  readonly purpose: HelloPurpose;
  /** Null if whoever answers is the right one. */
  readonly wanted: NodeId | null;
}

/** A connection that this node dials: hello, the peer's hello, and then what the owner makes of it. */
export class PeerDial implements PeerUser {
  readonly #host: PeerHost;
  readonly #target: DialTarget;
  readonly #owner: DialOwner;
  readonly #deadline: Deadline;
  #connection: PeerConnection | undefined;
  /** What the peer knows of this node. */
  #said: PeerHello | undefined;
  #hello: PeerHello | undefined;
  #refusal: string | undefined;
  /** Given up before there was a connection to give up. */
  #abandoned: ConnectionLoss | undefined;

  /** `limitMs`: until the peer has said hello; closed with 'timeout' then. */
  constructor(host: PeerHost, target: DialTarget, limitMs: number, owner: DialOwner) {
    this.#host = host;
    this.#target = target;
    this.#owner = owner;
    this.#deadline = host.deadlines.after(limitMs, () => this.reset('timeout'));
    host.stats.dials += 1;
    host.network.connect(target.endpoint, (connection) => this.#open(connection));
  }

  get isGreeted(): boolean {
    return this.#hello !== undefined;
  }

  /** See PeerConnection.send. */
  send(lane: Lane, kind: number, payload: Uint8Array): boolean {
    return this.#connection?.send(lane, kind, payload) === true;
  }

  /** First, and when this node's hello has changed. */
  sayHello(): void {
    this.#said = this.#host.self();
    const { purpose, wanted } = this.#target;
    this.send(Lane.Urgent, PeerKind.Hello, encodeHello(this.#host.encoder, { purpose, wanted, hello: this.#said }));
  }

  /** What was sent still leaves. */
  end(loss: ConnectionLoss): void {
    if (this.#connection === undefined) this.#abandoned = loss;
    else this.#connection.end(loss);
  }

  reset(loss: ConnectionLoss): void {
    if (this.#connection === undefined) this.#abandoned = loss;
    else this.#connection.reset(loss);
  }

  /** The peer does not keep to the protocol. */
  refuse(reason: string): void {
    this.#connection?.refuse(reason);
  }

  sweep(lateMs: number): void {
    this.#connection?.sweep(lateMs);
    if (this.isGreeted) this.send(Lane.Urgent, PeerKind.Ping, NOTHING);
  }

  message(kind: number, payload: Uint8Array): void {
    if (kind === PeerKind.Hello) this.#greet(payload);
    else if (kind === PeerKind.Refused) this.#part(decodeSentence(payload));
    else if (this.#hello === undefined) this.refuse('it did not answer with a hello');
    else if (kind !== PeerKind.Pong) this.#owner.message(kind, payload);
  }

  closed(loss: ConnectionLoss, fault: string | undefined): void {
    this.#host.deadlines.cancel(this.#deadline);
    const { endpoint } = this.#target;
    if (fault !== undefined && this.isGreeted) logFault(this.#host.logger, endpoint, fault);
    else if (fault !== undefined) this.#refusal = strangeListenerSentence(endpoint, fault);
    const isMute = !this.isGreeted && this.#connection?.hasFlushed === true;
    this.#owner.closed(loss, this.#refusal ?? lossSentence(endpoint, loss, isMute), this.#refusal !== undefined);
  }

  #open(connection: Connection): PeerConnection {
    const opened = new PeerConnection(connection, this.#host.shared, () => this);
    opened.limitMessages(UNGREETED_MESSAGE_BYTES_MAX);
    this.#connection = opened;
    if (this.#abandoned === undefined) this.sayHello();
    else opened.reset(this.#abandoned);
    return opened;
  }

  #greet(payload: Uint8Array): void {
    const decoded = decodeHello(payload);
    if (decoded.error !== undefined) return this.refuse(decoded.error);
    const greeting = decoded.value;
    if ('version' in greeting) return this.#part(versionSentence(greeting.version));
    const { hello } = greeting;
    const reason = strangerSentence(this.#host.self(), hello) ?? mistakenSentence(hello, this.#target.wanted);
    if (reason !== undefined) return this.#part(reason);
    if (this.#hello !== undefined) {
      if (!isSameNode(this.#hello, hello)) return this.refuse('it said another hello');
      this.#hello = hello;
      return this.#owner.changed(hello);
    }
    this.#host.deadlines.cancel(this.#deadline);
    this.#connection?.limitMessages(MESSAGE_BYTES_MAX);
    this.#hello = hello;
    if (this.#said !== this.#host.self()) this.sayHello();
    this.#owner.greeted(hello);
  }

  #part(sentence: string): void {
    this.#refusal = sentence;
    this.reset('ungreeted');
  }
}

const NOTHING = new Uint8Array(0);

/** `isMute`: it took the hello, and gave none. */
function lossSentence(at: Endpoint, loss: ConnectionLoss, isMute: boolean): string {
  switch (loss) {
    case 'refused':
      return `nobody listens at ${endpointText(at)}`;
    case 'timeout':
      return isMute
        ? `what listens at ${endpointText(at)} says no hello: it stands still, or is no peer listener of a node`
        : `${endpointText(at)} does not answer`;
    default:
      return `the connection to ${endpointText(at)} was lost (${loss})`;
  }
}
