import type { Findings } from '../anomalies.ts';
import { explain, versionText } from '../explain.ts';
import { type History, NONE, Row } from '../history.ts';
import type { VersionOrder } from '../version-order.ts';

interface Place {
  readonly position: number;
  readonly version: number;
  readonly op: number;
}

/**
 * What a process sends to a key lands in the order in which it sends. Within an operation, where sends are on their way at the same time,
 * that is promised only with idempotence; between operations to whoever waits for acknowledgements, also where an outcome that is not
 * known lies between them: what is sent next begins behind what was acknowledged before.
 */
export function checkSends(history: History, order: VersionOrder, findings: Findings): void {
  const senders = new Map<number, Map<number, Place>>();
  for (let op = 0; op < history.operations; op += 1) {
    const client = history.client(op);
    if (client?.acks === undefined || client.acks === 0) continue;
    let sender = senders.get(client.p);
    if (sender === undefined) {
      // The same client goes on as another process.
      sender = new Map(client.after === undefined ? undefined : senders.get(client.after));
      senders.set(client.p, sender);
    }
    const places = new Map<number, Place>();
    for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
      if (history.rowKind.at(row) !== Row.Send) continue;
      const version = history.rowSubject.at(row);
      const position = order.position(version);
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
      places.set(key, { position, version, op });
    }
    if (history.outcome(op) === 'ok') for (const [key, place] of places) sender.set(key, place);
  }
}
