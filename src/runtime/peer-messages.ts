/** What goes over peer connections: the kinds of messages, and the payloads of those that are not opaque. */
import type { Parsed } from '#base/parsed';
import { isUuid, type NodeId, nodeId, type Uuid } from '#model/ids';
import { FRAGMENT_BYTES_MAX, Lane, MESSAGE_BYTES_MAX } from '#net/peer-frames';
import { decodePeerData, type PeerDataEncoder } from './peer-data.ts';
import type { PeerHello } from './peer-types.ts';

/** Rises when a node of an older version could misunderstand one of this. */
const PROTOCOL_VERSION = 1;

/** Of a peer that was not greeted: enough for any hello, or sentence. */
export const UNGREETED_MESSAGE_BYTES_MAX = 8 * 1024;

/** 0..63. Never used again for something else. */
export const PeerKind = {
  /** [version, purpose, wanted node id, cluster id, node id, directory id, incarnation, host, port, roles]. First each way; again when it has changed. */
  Hello: 1,
  /** A sentence, in place of the hello that answers: the connection ends. Readable in all versions. */
  Refused: 2,
  /** One-way: the user's bytes. */
  Message: 3,
  /** [correlation, operation, body]. */
  Request: 4,
  /** [correlation, status, body, or the sentence of a refusal]. */
  Response: 5,
  /** Empty; every second from whoever has dialled. */
  Ping: 6,
  /** Empty. */
  Pong: 7,
} as const;

export const ResponseStatus = { Answered: 0, Busy: 1, Refused: 2 } as const;
export type ResponseStatus = (typeof ResponseStatus)[keyof typeof ResponseStatus];

/** 'link': for messages and requests. 'probe': only to see who answers. */
export type HelloPurpose = 'link' | 'probe';

export interface Greeting {
  readonly purpose: HelloPurpose;
  /** Whom the sender takes the receiver for; null if it does not know, or has no need to say so. */
  readonly wanted: NodeId | null;
  readonly hello: PeerHello;
}

export interface RequestPayload {
  readonly correlation: number;
  readonly operation: string;
  readonly body: unknown;
}

export interface ResponsePayload {
  readonly correlation: number;
  readonly status: ResponseStatus;
  readonly body: unknown;
}

const UINT32_MAX = 0xffff_ffff;
const NODE_ID_MAX = 0x7fff_ffff;
const PORT_MAX = 0xffff;
const NAME_CHARS_MAX = 255;
const ROLES_MAX = 16;

/** Requests and answers of some size make way for what is urgent. */
export function laneOf(payload: Uint8Array): Lane {
  return payload.length > FRAGMENT_BYTES_MAX ? Lane.Bulk : Lane.Urgent;
}

export function encodeHello(encoder: PeerDataEncoder, { purpose, wanted, hello }: Greeting): Uint8Array {
  const { clusterId, id, directoryId, incarnation, endpoint, roles } = hello;
  const node = [clusterId, id, directoryId, incarnation, endpoint.host, endpoint.port, roles];
  return encoder.encode([PROTOCOL_VERSION, purpose, wanted, ...node], MESSAGE_BYTES_MAX) as Uint8Array;
}

/** `version` instead of a hello if the peer speaks another version of the protocol than this node. */
export function decodeHello(payload: Uint8Array): Parsed<Greeting | { readonly version: number }> {
  const decoded = decodePeerData(payload);
  if (decoded.error !== undefined) return decoded;
  const { value } = decoded;
  if (!Array.isArray(value) || !isCount(value[0], UINT32_MAX)) return { error: 'a hello begins with its version' };
  if (value[0] !== PROTOCOL_VERSION) return { value: { version: value[0] } };
  const [, purpose, wanted, clusterId, id, directoryId, incarnation, host, port, roles] = value as unknown[];
  const fits =
    (purpose === 'link' || purpose === 'probe') &&
    (wanted === null || isCount(wanted, NODE_ID_MAX)) &&
    (clusterId === null || isId(clusterId)) &&
    isCount(id, NODE_ID_MAX) &&
    isId(directoryId) &&
    isId(incarnation) &&
    isName(host) &&
    isCount(port, PORT_MAX) &&
    Array.isArray(roles) &&
    roles.length <= ROLES_MAX &&
    roles.every(isName);
  if (!fits) return { error: 'a hello has other fields' };
  const hello = { clusterId, id: nodeId(id), directoryId, incarnation, endpoint: { host, port }, roles };
  return { value: { purpose, wanted: wanted === null ? null : nodeId(wanted), hello } };
}

export function versionSentence(version: number): string {
  return `it speaks version ${version} of the peer protocol, and this node version ${PROTOCOL_VERSION}: run releases that are one step apart at most`;
}

export function encodeSentence(sentence: string): Uint8Array {
  return Buffer.from(sentence.slice(0, 1024));
}

export function decodeSentence(payload: Uint8Array): string {
  return Buffer.from(payload.subarray(0, 4096)).toString().slice(0, 1024);
}

/** Undefined if it is too large for a message; so is the next. */
export function encodeRequest(encoder: PeerDataEncoder, request: RequestPayload): Uint8Array | undefined {
  return encoder.encode([request.correlation, request.operation, request.body], MESSAGE_BYTES_MAX);
}

export function encodeResponse(encoder: PeerDataEncoder, response: ResponsePayload): Uint8Array | undefined {
  return encoder.encode([response.correlation, response.status, response.body], MESSAGE_BYTES_MAX);
}

export function decodeRequest(payload: Uint8Array): Parsed<RequestPayload> {
  const decoded = decodePeerData(payload);
  if (decoded.error !== undefined) return decoded;
  const { value } = decoded;
  if (!Array.isArray(value) || value.length !== 3) return { error: 'a request has three fields' };
  const [correlation, operation, body] = value as unknown[];
  if (!isCount(correlation, UINT32_MAX) || !isName(operation)) return { error: 'a request has other fields' };
  return { value: { correlation, operation, body } };
}

export function decodeResponse(payload: Uint8Array): Parsed<ResponsePayload> {
  const decoded = decodePeerData(payload);
  if (decoded.error !== undefined) return decoded;
  const { value } = decoded;
  if (!Array.isArray(value) || value.length !== 3) return { error: 'a response has three fields' };
  const [correlation, status, body] = value as unknown[];
  if (!isCount(correlation, UINT32_MAX) || !isStatus(status)) return { error: 'a response has other fields' };
  if (status === ResponseStatus.Refused && typeof body !== 'string') return { error: 'a refusal is a sentence' };
  return { value: { correlation, status, body } };
}

function isCount(value: unknown, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max;
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= NAME_CHARS_MAX;
}

function isId(value: unknown): value is Uuid {
  return typeof value === 'string' && isUuid(value);
}

function isStatus(value: unknown): value is ResponseStatus {
  return value === ResponseStatus.Answered || value === ResponseStatus.Busy || value === ResponseStatus.Refused;
}
