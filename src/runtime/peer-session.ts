import { assert } from '#base/assert';
import type { Deadline } from '#base/deadlines';
import type { ConnectionLoss, PeerConnection, PeerUser } from '#net/peer-connection';
import { Lane, MESSAGE_BYTES_MAX } from '#net/peer-frames';
import { isSameNode, strangerSentence } from './peer-greeting.ts';
import { logFault, type PeerHost } from './peer-host.ts';
import {
  decodeHello,
  decodeRequest,
  encodeHello,
  encodeResponse,
  encodeSentence,
  type Greeting,
  laneOf,
  PeerKind,
  ResponseStatus,
  UNGREETED_MESSAGE_BYTES_MAX,
  versionSentence,
} from './peer-messages.ts';
import { REQUESTS_MAX } from './peer-requests.ts';
import type { PeerHandler, PeerHello, PeerRequest } from './peer-types.ts';

/** Whoever has connected and not said hello by then is dropped. */
const GREETING_MS = 5_000;
/** Requests of all peers that are not answered yet, as they came; the true bound is this, one request, and the small ones of each peer. */
const REQUEST_BYTES_MAX = 64 * 1024 * 1024;
/** Let in beyond it, for their number is bounded: a heartbeat that is turned away for what users ask for has its broker fenced. */
const SMALL_REQUEST_BYTES = 4 * 1024;

/** The node, as its inbound connections see it. */
export interface SessionHost extends PeerHost {
  /** Of requests of all peers that are not answered yet. */
  requestBytes: number;
  handlerOf(operation: string): PeerHandler | undefined;
  /** A sentence if the node that says hello is turned away. */
  intruder(greeting: Greeting): string | undefined;
  turnedAway(hello: PeerHello | undefined, session: PeerSession, reason: string): void;
  /** For a link: it takes the place of the one before it. */
  greeted(session: PeerSession, hello: PeerHello): void;
  left(session: PeerSession): void;
  message(from: PeerHello, bytes: Uint8Array): void;
}

/** One connection that a peer has dialled: its messages and requests come by it, and its answers go back. */
export class PeerSession implements PeerUser {
  readonly #connection: PeerConnection;
  readonly #host: SessionHost;
  readonly #deadline: Deadline;
  /** By correlation; at most REQUESTS_MAX. */
  readonly #requests = new Map<number, IncomingRequest>();
  #hello: PeerHello | undefined;
  #isProbe = false;
  #over = false;

  constructor(connection: PeerConnection, host: SessionHost) {
    this.#connection = connection;
    this.#host = host;
    connection.limitMessages(UNGREETED_MESSAGE_BYTES_MAX);
    this.#deadline = host.deadlines.after(GREETING_MS, () => this.#giveUp());
  }

  /** Of a link. */
  get hello(): PeerHello | undefined {
    return this.#isProbe ? undefined : this.#hello;
  }

  get remoteHost(): string {
    return this.#connection.remote.host;
  }

  /** This node's hello has changed. */
  sayHello(): void {
    const greeting = { purpose: this.#isProbe ? 'probe' : 'link', wanted: null, hello: this.#host.self() } as const;
    this.#connection.send(Lane.Urgent, PeerKind.Hello, encodeHello(this.#host.encoder, greeting));
  }

  /** The same node has dialled anew: this connection is over at once. */
  replace(): void {
    this.#leave('replaced');
    this.#connection.reset('replaced');
  }

  message(kind: number, payload: Uint8Array): void {
    const hello = this.#hello;
    if (hello === undefined) {
      if (kind === PeerKind.Hello) this.#greet(payload);
      else this.#connection.refuse('it did not begin with a hello');
    } else if (kind === PeerKind.Ping) {
      this.#connection.send(Lane.Urgent, PeerKind.Pong, NOTHING);
    } else if (kind === PeerKind.Hello) {
      this.#greetAgain(hello, payload);
    } else if (kind === PeerKind.Message && !this.#isProbe) {
      this.#host.stats.messagesReceived += 1;
      this.#host.message(hello, payload);
    } else if (kind === PeerKind.Request && !this.#isProbe) {
      this.#handle(hello, payload);
    } else {
      this.#connection.refuse(`it sent a message of kind ${kind} on a connection that it dialled`);
    }
  }

  closed(loss: ConnectionLoss, fault: string | undefined): void {
    if (fault !== undefined) logFault(this.#host.logger, this.#connection.remote, fault);
    this.#leave(loss);
  }

  #leave(loss: ConnectionLoss): void {
    if (this.#over) return;
    this.#over = true;
    this.#host.deadlines.cancel(this.#deadline);
    const requests = [...this.#requests.values()];
    this.#requests.clear();
    for (const request of requests) request.leave();
    this.#host.left(this);
    const { hello } = this;
    if (hello !== undefined) this.#host.disconnected(hello, 'in', loss);
  }

  #giveUp(): void {
    this.#host.logger.info(
      { remote: this.#connection.remote },
      `peer connection closed: no hello for ${GREETING_MS} ms`,
    );
    this.#connection.reset('ungreeted');
  }

  #greet(payload: Uint8Array): void {
    const decoded = decodeHello(payload);
    if (decoded.error !== undefined) return this.#connection.refuse(decoded.error);
    const greeting = decoded.value;
    if ('version' in greeting) return this.#turnAway(undefined, versionSentence(greeting.version));
    const { hello, purpose } = greeting;
    const reason = strangerSentence(this.#host.self(), hello) ?? this.#host.intruder(greeting);
    if (reason !== undefined) return this.#turnAway(hello, reason);
    this.#host.deadlines.cancel(this.#deadline);
    this.#connection.limitMessages(MESSAGE_BYTES_MAX);
    this.#isProbe = purpose === 'probe';
    this.sayHello();
    if (!this.#isProbe) this.#host.greeted(this, hello);
    this.#hello = hello;
    if (!this.#isProbe) this.#host.connected(hello, 'in');
  }

  #greetAgain(known: PeerHello, payload: Uint8Array): void {
    const decoded = decodeHello(payload);
    if (decoded.error !== undefined) return this.#connection.refuse(decoded.error);
    const greeting = decoded.value;
    if ('version' in greeting || !isSameNode(known, greeting.hello)) {
      return this.#connection.refuse('it said another hello');
    }
    const { hello } = greeting;
    const reason = strangerSentence(this.#host.self(), hello);
    if (reason !== undefined) return this.#turnAway(hello, reason);
    this.#hello = hello;
  }

  #turnAway(hello: PeerHello | undefined, reason: string): void {
    this.#host.turnedAway(hello, this, reason);
    this.#connection.send(Lane.Urgent, PeerKind.Refused, encodeSentence(reason));
    this.#connection.end('ungreeted');
  }

  #handle(from: PeerHello, payload: Uint8Array): void {
    const decoded = decodeRequest(payload);
    if (decoded.error !== undefined) return this.#connection.refuse(decoded.error);
    const { correlation, operation, body } = decoded.value;
    if (this.#requests.has(correlation)) return this.#connection.refuse('it gave two requests one number');
    this.#host.stats.requestsReceived += 1;
    const isTooMuch = payload.length > SMALL_REQUEST_BYTES && this.#host.requestBytes > REQUEST_BYTES_MAX;
    if (this.#requests.size >= REQUESTS_MAX || isTooMuch) {
      this.#host.stats.requestsRefused += 1;
      return this.#respond(correlation, ResponseStatus.Busy, null);
    }
    const handler = this.#host.handlerOf(operation);
    if (handler === undefined) {
      return this.#respond(correlation, ResponseStatus.Refused, `there is no operation ${operation}`);
    }
    this.#host.requestBytes += payload.length;
    const request = new IncomingRequest(from, body, (status, answer) => {
      this.#host.requestBytes -= payload.length;
      if (this.#requests.delete(correlation)) this.#respond(correlation, status, answer);
    });
    this.#requests.set(correlation, request);
    handler(request);
  }

  #respond(correlation: number, status: ResponseStatus, body: unknown): void {
    const payload = encodeResponse(this.#host.encoder, { correlation, status, body });
    if (payload === undefined) {
      this.#respond(correlation, ResponseStatus.Refused, `the answer is larger than ${MESSAGE_BYTES_MAX} bytes`);
    } else if (!this.#connection.send(laneOf(payload), PeerKind.Response, payload) && !this.#over) {
      this.#connection.refuse('it does not take the answers that it asks for');
    }
  }
}

/** See PeerRequest. */
class IncomingRequest implements PeerRequest {
  readonly from: PeerHello;
  readonly body: unknown;
  readonly #respond: (status: ResponseStatus, body: unknown) => void;
  #answered = false;
  #isGone = false;
  #gone: (() => void) | undefined;

  constructor(from: PeerHello, body: unknown, respond: (status: ResponseStatus, body: unknown) => void) {
    this.from = from;
    this.body = body;
    this.#respond = respond;
  }

  answer(body: unknown): void {
    this.#end(ResponseStatus.Answered, body);
  }

  refuse(reason: string): void {
    this.#end(ResponseStatus.Refused, reason);
  }

  whenGone(run: () => void): void {
    if (this.#answered) return;
    if (this.#isGone) run();
    else this.#gone = run;
  }

  /** The connection is over. */
  leave(): void {
    this.#isGone = true;
    const gone = this.#gone;
    this.#gone = undefined;
    gone?.();
  }

  #end(status: ResponseStatus, body: unknown): void {
    assert(!this.#answered, 'a request is answered once');
    this.#answered = true;
    this.#gone = undefined;
    this.#respond(status, body);
  }
}

const NOTHING = new Uint8Array(0);
