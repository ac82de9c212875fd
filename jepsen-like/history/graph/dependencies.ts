import { type History, NEVER, NONE, Row } from '../history.ts';
import type { VersionOrder } from '../version-order.ts';
import { type Graph, GraphBuilder } from './graph.ts';

/** Why one operation comes before another (Adya: Weak Consistency, 1999; Kingsbury, Alvaro: Elle, 2020). */
export const Edge = {
  /** It wrote the version before. */
  WW: 1,
  /** It wrote what the other read. */
  WR: 2,
  /** It read no further than the version before the other's. */
  RW: 4,
  /** One process did one after the other. */
  Process: 8,
  /** It had ended when the other began. */
  Realtime: 16,
} as const;

/**
 * Operations that must have happened are the nodes by their numbers; behind them come moments, by which real time takes a few edges for
 * each operation: one leads to the moment after its end, a moment to the next and to whatever begins before that.
 */
export function dependencies(history: History, order: VersionOrder): Graph {
  const builder = new GraphBuilder();
  const happened = happenedOperations(history, order);
  writes(history, order, builder);
  reads(history, order, builder, happened);
  processes(history, builder, happened);
  return builder.build(moments(history, builder, happened));
}

function happenedOperations(history: History, order: VersionOrder): Uint8Array {
  const happened = new Uint8Array(history.operations);
  for (let op = 0; op < history.operations; op += 1) if (history.outcome(op) === 'ok') happened[op] = 1;
  for (let version = 0; version < history.versions; version += 1) {
    const writer = history.versionWriter.at(version);
    if (writer !== NONE && order.committed(version)) happened[writer] = 1;
  }
  return happened;
}

function writes(history: History, order: VersionOrder, builder: GraphBuilder): void {
  for (let key = 0; key < history.keys.length; key += 1) {
    let before: number = NONE;
    for (let position = 0; position < order.length(key); position += 1) {
      const version = order.versionAt(key, position);
      if (!order.committed(version)) continue;
      const writer = history.versionWriter.at(version);
      if (before !== NONE && writer !== NONE && before !== writer) builder.edge(before, writer, Edge.WW);
      before = writer;
    }
  }
}

function reads(history: History, order: VersionOrder, builder: GraphBuilder, happened: Uint8Array): void {
  /** Of the operation at hand: the last position that it read of each key. */
  const last = new Map<number, number>();
  for (let op = 0; op < history.operations; op += 1) {
    const ok = history.outcome(op) === 'ok';
    // What a transaction has read that must have committed, it has read, also if nobody was told so.
    if (!ok && happened[op] === 0) continue;
    last.clear();
    let before: number = NONE;
    for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
      if (history.rowKind.at(row) !== Row.Read) continue;
      const version = history.rowSubject.at(row);
      const writer = history.versionWriter.at(version);
      if (writer === NONE || happened[writer] === 0) continue;
      // Who reads what is uncommitted depends on nothing that a transaction promises.
      if (history.f(writer) === 'txn' && !history.readsCommitted(op)) continue;
      last.set(history.versionKey.at(version), order.positionOfRead(version, history.rowOffset.at(row)));
      if (writer !== op && writer !== before) builder.edge(writer, op, Edge.WR);
      before = writer;
    }
    // It may have read further than it tells.
    if (!ok) continue;
    for (const [key, position] of last) {
      const next = order.nextCommitted(key, position);
      const overwriter = next === NONE ? NONE : history.versionWriter.at(order.versionAt(key, next));
      if (overwriter !== NONE && overwriter !== op) builder.edge(op, overwriter, Edge.RW);
    }
  }
}

function processes(history: History, builder: GraphBuilder, happened: Uint8Array): void {
  const before = new Map<number, number>();
  for (let op = 0; op < history.operations; op += 1) {
    if (happened[op] === 0) continue;
    const p = history.process.at(op);
    const last = before.get(p);
    if (last !== undefined) builder.edge(last, op, Edge.Process);
    before.set(p, op);
  }
}

/** Gives the number of nodes. */
function moments(history: History, builder: GraphBuilder, happened: Uint8Array): number {
  const beginnings: number[] = [];
  for (let op = 0; op < history.operations; op += 1) if (happened[op] === 1) beginnings.push(op);
  const invokedAt = history.invokedAt;
  beginnings.sort((a, b) => invokedAt.at(a) - invokedAt.at(b));

  let nodes = history.operations;
  let moment: number = NONE;
  let ended = 0;
  for (const op of beginnings) {
    const before = moment;
    for (; ended < history.operations && history.completedAt.at(ended) < invokedAt.at(op); ended += 1) {
      // What is not known to have ended may take effect yet.
      if (history.outcome(ended) !== 'ok' || history.completedAt.at(ended) === NEVER) continue;
      if (moment === before) {
        moment = nodes;
        nodes += 1;
        if (before !== NONE) builder.edge(before, moment, Edge.Realtime);
      }
      builder.edge(ended, moment, Edge.Realtime);
    }
    if (moment !== NONE) builder.edge(moment, op, Edge.Realtime);
  }
  return nodes;
}
