import type { Findings } from '../anomalies.ts';
import { explain, versionText } from '../explain.ts';
import { type History, NEVER, NONE, Row } from '../history.ts';
import type { VersionOrder } from '../version-order.ts';

interface Place {
  readonly position: number;
  readonly version: number;
  readonly op: number;
}

/**
 * What a process sends to a key lands in the order in which it sends. Within an operation, where sends are on their way at the same time,
 * that is promised only with idempotence; between operations to whoever waits for acknowledgements, also where an outcome that is not
 * known lies between them: what is sent next begins behind what was acknowledged before, and behind a transaction that must have
 * committed, for whoever goes on has fenced it first. In real time the same holds between processes.
 */
export function checkSends(history: History, order: VersionOrder, findings: Findings): void {
  const clients = clientsOf(history);
  checkClients(history, order, findings, clients);
  const acknowledgedAt = acknowledgements(history);
  for (const key of history.keys.keys()) checkKey(history, order, findings, { clients, acknowledgedAt }, key);
}

/** Of each process the first one of its client. */
function clientsOf(history: History): ReadonlyMap<number, number> {
  const clients = new Map<number, number>();
  for (const [p, { after }] of history.clients)
    clients.set(p, (after === undefined ? undefined : clients.get(after)) ?? p);
  return clients;
}

/** Operations in the order in which they began, and not in which they ended: who went on has left some that never did. */
function inOrder(history: History): Int32Array {
  const { invokedAt } = history;
  return Int32Array.from({ length: history.operations }, (_, op) => op).sort(
    (a, b) => invokedAt.at(a) - invokedAt.at(b),
  );
}

function checkClients(
  history: History,
  order: VersionOrder,
  findings: Findings,
  clients: ReadonlyMap<number, number>,
): void {
  const senders = new Map<number, Map<number, Place>>();
  for (const op of inOrder(history)) {
    const client = history.client(op);
    if (client?.acks === undefined || client.acks === 0) continue;
    const root = clients.get(client.p) ?? client.p;
    const sender = senders.get(root) ?? new Map<number, Place>();
    senders.set(root, sender);
    const places = new Map<number, Place>();
    /** The furthest of each key, of what is behind its next sends. */
    const behind = new Map<number, Place>();
    for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
      if (history.rowKind.at(row) !== Row.Send) continue;
      const version = history.rowSubject.at(row);
      // Of a duplicate it is not known which was acknowledged: all are behind what was acknowledged before.
      const position = order.firstPosition(version);
      if (!order.committed(version) || position === NONE) continue;
      const key = history.versionKey.at(version);
      const within = places.get(key);
      const before = within ?? sender.get(key);
      if (before !== undefined && position <= before.position) {
        if (within === undefined || client.idempotent) {
          const anomaly = within === undefined ? 'nonmonotonic-send' : 'int-nonmonotonic-send';
          findings.add(anomaly, () => {
            const sentence = `${anomaly}: ${versionText(history, version)} at ${order.offset(version)} was sent after ${history.versionValue.at(before.version)} at ${order.offset(before.version)}`;
            return explain(history, sentence, [before.op, op], [key]);
          });
        }
      } else if (within !== undefined && position > within.position + 1 && history.f(op) === 'txn') {
        findings.add('int-send-skip', () => {
          const foreign = history.versionWriter.at(order.versionAt(key, within.position + 1));
          const sentence = `int-send-skip: something lies between ${versionText(history, within.version)} and ${versionText(history, version)} of one transaction`;
          return explain(history, sentence, [op, foreign], [key]);
        });
      }
      const place = { position, version, op };
      places.set(key, place);
      const ended = acknowledged(history, row, op) || history.f(op) === 'txn';
      if (ended && place.position > (behind.get(key)?.position ?? NONE)) behind.set(key, place);
    }
    for (const [key, place] of behind) sender.set(key, place);
  }
}

function acknowledged(history: History, row: number, op: number): boolean {
  if (history.outcome(op) === 'ok') return true;
  return history.outcome(op) === 'info' && history.rowOffset.at(row) !== NONE;
}

/** Of each version the event by which its sender was told, or NEVER; who asks for no acknowledgement is told nothing. */
function acknowledgements(history: History): Int32Array {
  const events = new Int32Array(history.versions).fill(NEVER);
  for (let op = 0; op < history.operations; op += 1) {
    if (history.client(op)?.acks === 0) continue;
    for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
      if (history.rowKind.at(row) !== Row.Send || !acknowledged(history, row, op)) continue;
      events[history.rowSubject.at(row)] = history.completedAt.at(op);
    }
  }
  return events;
}

interface Begun {
  readonly event: number;
  readonly version: number;
  readonly client: number;
}

/** What was acknowledged lies before everything that was sent after that. */
function checkKey(
  history: History,
  order: VersionOrder,
  findings: Findings,
  { clients, acknowledgedAt }: { readonly clients: ReadonlyMap<number, number>; readonly acknowledgedAt: Int32Array },
  key: number,
): void {
  /** Of what lies below: the send that began last. */
  let last: Begun | undefined;
  for (let position = 0; position < order.length(key); position += 1) {
    const version = order.versionAt(key, position);
    const writer = history.versionWriter.at(version);
    if (writer === NONE || !order.committed(version)) continue;
    const p = history.process.at(writer);
    const client = clients.get(p) ?? p;
    const ended = acknowledgedAt[version] ?? NEVER;
    // Between sends of one client it is told as nonmonotonic-send.
    if (
      last !== undefined &&
      last.client !== client &&
      last.event > ended &&
      order.firstPosition(version) === position
    ) {
      const late = last;
      findings.add('nonmonotonic-send-realtime', () => {
        const sentence = `nonmonotonic-send-realtime: ${versionText(history, late.version)} at ${order.offset(late.version)} was sent after ${history.versionValue.at(version)} at ${order.offset(version)} had been acknowledged`;
        return explain(history, sentence, [writer, history.versionWriter.at(late.version)], [key]);
      });
    }
    const event = history.invokedAt.at(writer);
    if (last === undefined || event > last.event) last = { event, version, client };
  }
}
