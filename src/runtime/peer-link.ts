import type { Deadline } from '#base/deadlines';
import { endpointText } from '#base/endpoint-text';
import { Fifo } from '#base/fifo';
import type { Endpoint, Mono } from '#base/ports';
import type { NodeId } from '#model/ids';
import { Lane, MESSAGE_BYTES_MAX } from '#net/peer-frames';
import { PeerDial } from './peer-dial.ts';
import { isSameEndpoint, type PeerHost } from './peer-host.ts';
import { decodeResponse, encodeRequest, laneOf, PeerKind, ResponseStatus } from './peer-messages.ts';
import { failed, PeerRequests, REQUESTS_MAX } from './peer-requests.ts';
import type { PeerAnswer, PeerHello } from './peer-types.ts';

/** Until the peer has said hello; long enough for one lost packet. */
const DIAL_MS = 2_000;
const BACK_OFF_MS_MIN = 20;
const BACK_OFF_MS_MAX = 1_000;
/** A connection that held for so long was a good one: the next dial comes soon. */
const STEADY_MS = 1_000;
/** A peer to which nothing was sent for so long is not redialled. */
const WANTED_MS = 30_000;
/** What waits for the connection; the true bound is this and one message. */
const WAITING_BYTES_MAX = 1024 * 1024;
/** What a message that waits costs beside its payload. */
const WAITING_OVERHEAD_BYTES = 64;

interface Waiting {
  readonly kind: number;
  readonly payload: Uint8Array;
  /** Undefined for one-way messages. */
  readonly correlation: number | undefined;
}

/**
 * The way from this node to another: one connection, dialled when there is something to send, and redialled with back-off while that was
 * not long ago. What is sent meanwhile waits for the end of the next dial, and no longer: it goes out, or is dropped.
 */
export class PeerLink {
  readonly id: NodeId;
  readonly #host: PeerHost;
  readonly #requests: PeerRequests;
  readonly #waiting = new Fifo<Waiting>();
  #waitingBytes = 0;
  #endpoint: Endpoint;
  #told: Endpoint;
  #dial: PeerDial | undefined;
  #hello: PeerHello | undefined;
  #redial: Deadline | undefined;
  #backOffMs = BACK_OFF_MS_MIN;
  #openedAt: Mono = 0;
  #wantedAt: Mono = 0;
  /** The last thing that the log was told about this peer. */
  #said: string | undefined;
  #closed = false;

  constructor(host: PeerHost, id: NodeId, endpoint: Endpoint) {
    this.id = id;
    this.#host = host;
    this.#endpoint = endpoint;
    this.#told = endpoint;
    this.#requests = new PeerRequests(host.deadlines, host.stats);
  }

  get endpoint(): Endpoint {
    return this.#endpoint;
  }

  /** Who is connected; undefined if nobody is. */
  get hello(): PeerHello | undefined {
    return this.#hello;
  }

  send(bytes: Uint8Array): boolean {
    this.#want();
    const taken =
      this.#hello === undefined
        ? this.#wait({ kind: PeerKind.Message, payload: bytes, correlation: undefined })
        : this.#dial?.send(Lane.Urgent, PeerKind.Message, bytes) === true;
    if (taken) this.#host.stats.messagesSent += 1;
    else this.#host.stats.messagesDropped += 1;
    return taken;
  }

  request(operation: string, body: unknown, timeoutMs: number): Promise<PeerAnswer> {
    this.#host.stats.requestsSent += 1;
    const asked = this.#ask(operation, body, timeoutMs);
    if (asked instanceof Promise) return asked;
    this.#host.stats.requestsFailed += 1;
    return Promise.resolve(asked);
  }

  /** The connection to another address is dropped, and all that it owes. Told again what it was told before, it does nothing. */
  setEndpoint(endpoint: Endpoint): void {
    if (isSameEndpoint(endpoint, this.#told)) return;
    this.#told = endpoint;
    if (isSameEndpoint(endpoint, this.#endpoint)) return;
    this.#endpoint = endpoint;
    if (this.#dial !== undefined) this.#replace();
    else if (this.#redial !== undefined) this.#dialSoon();
  }

  /** The peer has been heard of by another way: it is there now, where its hello says if it was not reached elsewhere. */
  heardOf(hello: PeerHello): void {
    if (this.#hello === undefined) {
      if (this.#dial === undefined) this.#endpoint = hello.endpoint;
      if (this.#redial !== undefined) this.#dialSoon();
    } else if (this.#hello.incarnation !== hello.incarnation) {
      // The process at the other end of this connection is gone, though its host may not have said so.
      this.#endpoint = hello.endpoint;
      this.#replace();
    }
  }

  /** This node's hello has changed. */
  sayHello(): void {
    if (this.#hello !== undefined) this.#dial?.sayHello();
  }

  sweep(lateMs: number): void {
    this.#dial?.sweep(lateMs);
  }

  /** What was sent leaves; all that was asked is answered; nothing is dialled any more. */
  close(): void {
    this.#closed = true;
    this.#cancelRedial();
    this.#dropWaiting();
    this.#requests.failAll('the connection was given up');
    this.#dial?.end('forgotten');
  }

  #ask(operation: string, body: unknown, timeoutMs: number): PeerAnswer | Promise<PeerAnswer> {
    if (this.#requests.count >= REQUESTS_MAX)
      return failed('busy', `${REQUESTS_MAX} requests wait for node ${this.id}`);
    const correlation = this.#requests.nextCorrelation();
    const payload = encodeRequest(this.#host.encoder, { correlation, operation, body });
    if (payload === undefined) return failed('refused', `a request is larger than ${MESSAGE_BYTES_MAX} bytes`);
    this.#want();
    if (this.#hello === undefined) {
      if (this.#dial === undefined) return failed('unreachable', this.#said ?? `node ${this.id} is not connected`);
      if (!this.#wait({ kind: PeerKind.Request, payload, correlation })) return this.#full();
      return this.#requests.add(correlation, timeoutMs, false);
    }
    if (this.#dial?.send(laneOf(payload), PeerKind.Request, payload) !== true) return this.#full();
    return this.#requests.add(correlation, timeoutMs, true);
  }

  #full(): PeerAnswer {
    return failed('busy', `node ${this.id} does not take what it was sent`);
  }

  #want(): void {
    this.#wantedAt = this.#host.clock.now();
    if (this.#dial === undefined && this.#redial === undefined && !this.#closed) this.#dialNow();
  }

  /** Messages that come during a back-off are kept as well: the dial is not far off. */
  #wait(message: Waiting): boolean {
    if (this.#closed || this.#waitingBytes > WAITING_BYTES_MAX) return false;
    this.#waiting.push(message);
    this.#waitingBytes += message.payload.length + WAITING_OVERHEAD_BYTES;
    return true;
  }

  #dropWaiting(): void {
    for (const { correlation } of this.#waiting.drain()) {
      if (correlation === undefined) this.#host.stats.messagesDropped += 1;
    }
    this.#waitingBytes = 0;
  }

  #dialNow(): void {
    this.#cancelRedial();
    const target = { endpoint: this.#endpoint, purpose: 'link', wanted: this.id } as const;
    let hello: PeerHello | undefined;
    const dial = new PeerDial(this.#host, target, DIAL_MS, {
      greeted: (said) => {
        hello = said;
        this.#greeted(said);
      },
      changed: (said) => {
        hello = said;
        this.#hello = said;
      },
      message: (kind, payload) => this.#received(kind, payload),
      closed: (loss, reason, refused) => {
        if (this.#dial === dial) this.#lost(reason, refused);
        if (hello !== undefined) this.#host.disconnected(hello, 'out', loss);
      },
    });
    this.#dial = dial;
  }

  #dialSoon(): void {
    this.#backOffMs = BACK_OFF_MS_MIN;
    this.#dialNow();
  }

  /** Another connection takes the place of this one, and what waits goes over it. */
  #replace(): void {
    const dial = this.#dial;
    this.#hello = undefined;
    this.#requests.failSent('the connection was replaced');
    this.#dialSoon();
    dial?.reset('replaced');
  }

  #cancelRedial(): void {
    if (this.#redial !== undefined) this.#host.deadlines.cancel(this.#redial);
    this.#redial = undefined;
  }

  #greeted(hello: PeerHello): void {
    this.#hello = hello;
    this.#openedAt = this.#host.clock.now();
    this.#say(`connected to node ${this.id} at ${endpointText(this.#endpoint)}`, 'info');
    const waiting = this.#waiting.drain();
    this.#waitingBytes = 0;
    for (const message of waiting) this.#sendLate(message);
    this.#host.connected(hello, 'out');
  }

  #sendLate({ kind, payload, correlation }: Waiting): void {
    if (correlation === undefined) {
      if (this.#dial?.send(Lane.Urgent, kind, payload) !== true) this.#host.stats.messagesDropped += 1;
    } else if (this.#requests.markSent(correlation) && this.#dial?.send(laneOf(payload), kind, payload) !== true) {
      this.#requests.settle(correlation, this.#full());
    }
  }

  #received(kind: number, payload: Uint8Array): void {
    if (kind !== PeerKind.Response)
      return this.#dial?.refuse(`it sent a message of kind ${kind} on a connection that we dialled`);
    const decoded = decodeResponse(payload);
    if (decoded.error !== undefined) return this.#dial?.refuse(decoded.error);
    const { correlation, status, body } = decoded.value;
    if (status === ResponseStatus.Answered) this.#requests.settle(correlation, { body });
    else if (status === ResponseStatus.Refused) this.#requests.settle(correlation, failed('refused', String(body)));
    else this.#requests.settle(correlation, failed('busy', `node ${this.id} has too many requests`));
  }

  #lost(reason: string, refused: boolean): void {
    const now = this.#host.clock.now();
    const wasSteady = this.#hello !== undefined && now - this.#openedAt >= STEADY_MS;
    this.#dial = undefined;
    this.#hello = undefined;
    if (refused) this.#host.stats.greetingsRefused += 1;
    this.#requests.failAll(reason);
    this.#dropWaiting();
    if (this.#closed) return;
    this.#say(`node ${this.id} is not connected: ${reason}`, refused ? 'warn' : 'info');
    if (wasSteady) this.#backOffMs = BACK_OFF_MS_MIN;
    if (now - this.#wantedAt < WANTED_MS) this.#redialLater();
  }

  /** In [½, 1) of the back-off, so that nodes that lost each other at once do not meet at once. */
  #redialLater(): void {
    const share = 0.5 + this.#host.random.uint32() / 2 ** 33;
    this.#redial = this.#host.deadlines.after(this.#backOffMs * share, () => {
      this.#redial = undefined;
      this.#dialNow();
    });
    this.#backOffMs = Math.min(2 * this.#backOffMs, BACK_OFF_MS_MAX);
  }

  #say(sentence: string, level: 'info' | 'warn'): void {
    if (sentence === this.#said) return;
    this.#said = sentence;
    this.#host.logger[level]({ peer: this.id }, sentence);
  }
}
