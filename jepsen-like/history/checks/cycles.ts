import { at } from '#base/assert';
import type { Anomaly, Findings } from '../anomalies.ts';
import { milliseconds, operationText, versionText } from '../explain.ts';
import { components } from '../graph/components.ts';
import { dependencies, Edge } from '../graph/dependencies.ts';
import type { Graph } from '../graph/graph.ts';
import { leavesWithin, type Step, shortCycle, type Wanted } from '../graph/shortest-cycle.ts';
import { type History, NONE, Row } from '../history.ts';
import type { VersionOrder } from '../version-order.ts';

const { WW, WR, RW, Process, Realtime } = Edge;
const IN_TIME = Process | Realtime;

/**
 * Each kind is a component of the edges `through` and `back` in which a cycle goes by one `through`; it is counted once for each
 * component, and not in one that has a cycle of a stronger kind of its family. Writers are not isolated from each other, so that cycles
 * with ww edges are no fault, and readers poll no further than they like, so that those with rw edges are none. Information that flows in
 * a circle is.
 */
const FAMILIES: readonly (readonly (readonly [Anomaly, Wanted])[])[] = [
  [
    ['G1c-wr', { through: WR, back: WR }],
    ['G1c-wr-process', { through: Process, back: WR | Process }],
    ['G1c-wr-realtime', { through: Realtime, back: WR | IN_TIME }],
  ],
  [
    ['G0', { through: WW, back: WW }],
    ['G0-process', { through: Process, back: WW | Process }],
    ['G0-realtime', { through: Realtime, back: WW | IN_TIME }],
  ],
  [
    ['G1c', { through: WR, back: WW | WR }],
    ['G1c-process', { through: Process, back: WW | WR | Process }],
    ['G1c-realtime', { through: Realtime, back: WW | WR | IN_TIME }],
  ],
];

/** One rw edge, or several: as far as the edges that are tried tell them apart. */
const SINGLE: Wanted = { through: RW, back: WW | WR };
const SEVERAL: Wanted = { through: RW, back: WW | WR | RW };

/** The cycle is looked for only if it will be told. */
type Tell = (anomaly: Anomaly, cycle: () => readonly Step[]) => void;

export function checkCycles(history: History, order: VersionOrder, findings: Findings): void {
  const graph = dependencies(history, order);
  const tell: Tell = (anomaly, cycle) => findings.add(anomaly, () => cycleText(history, order, anomaly, cycle()));
  for (const family of FAMILIES) checkFamily(graph, family, tell);
  checkAntiDependencies(graph, tell);
}

function checkFamily(graph: Graph, family: readonly (readonly [Anomaly, Wanted])[], tell: Tell): void {
  /** A node of each cycle that was told. */
  const told: number[] = [];
  for (const [anomaly, wanted] of family) {
    const parts = components(graph, wanted.through | wanted.back);
    const stronger = new Set(told.map((node) => parts.of[node]));
    for (const members of parts.large) {
      if (stronger.has(parts.of[at(members, 0)])) continue;
      // Where what leads back is all that holds the component together, every edge in it is on a cycle.
      const node = members.find((member) => leavesWithin(graph, parts, member, wanted.through));
      if (node === undefined) continue;
      tell(anomaly, () => shortCycle(graph, parts, members, wanted) ?? []);
      told.push(node);
    }
  }
}

function checkAntiDependencies(graph: Graph, tell: Tell): void {
  const parts = components(graph, SEVERAL.through | SEVERAL.back);
  for (const members of parts.large) {
    const single = shortCycle(graph, parts, members, SINGLE);
    if (single !== undefined) tell('G-single', () => single);
    else if (members.some((member) => leavesWithin(graph, parts, member, RW))) {
      tell('G2', () => shortCycle(graph, parts, members, SEVERAL) ?? []);
    }
  }
}

/** Begins with what ended first. Moments are left out: what leads to one and on from there is one step in real time. */
function cycleText(history: History, order: VersionOrder, anomaly: Anomaly, cycle: readonly Step[]): string {
  const operations = cycle.filter(({ node }) => node < history.operations);
  const first = operations.reduce((least, { node }, index) => (node < at(operations, least).node ? index : least), 0);
  const steps = [...operations.slice(first), ...operations.slice(0, first)];
  const keys = new Set<number>();
  const sentences = steps.map(({ node, kind }, index) => {
    const to = steps[(index + 1) % steps.length]?.node ?? NONE;
    const [why, key] = reason(history, order, node, to, kind);
    if (key !== NONE) keys.add(key);
    return `  ${label(index)} before ${label((index + 1) % steps.length)}: ${why}`;
  });
  const told = steps.map(({ node }, index) => `  ${label(index)} = ${operationText(history, node, keys)}`);
  return [`${anomaly}: a cycle of ${steps.length}`, ...told, ...sentences].join('\n');
}

function label(index: number): string {
  return `T${index + 1}`;
}

/** Why one comes before another, and the key that it is about. */
function reason(
  history: History,
  order: VersionOrder,
  from: number,
  to: number,
  kind: number,
): readonly [string, number] {
  switch (kind) {
    case Edge.Process:
      return [`process ${history.process.at(from)} did them in this order`, NONE];
    case Edge.Realtime:
      return [
        `it ended at ${milliseconds(history.completedMs.at(from))}, before the other began at ${milliseconds(history.invokedMs.at(to))}`,
        NONE,
      ];
    case Edge.WR: {
      const read =
        versions(history, to, Row.Read).find((version) => history.versionWriter.at(version) === from) ?? NONE;
      return [`its ${versionText(history, read)} was read by the other`, history.versionKey.at(read)];
    }
    default: {
      // It has read no further than the last that it read of a key.
      const own = kind === Edge.WW ? versions(history, from, Row.Send) : versions(history, from, Row.Read).toReversed();
      for (const version of own) {
        const key = history.versionKey.at(version);
        const next = order.nextCommitted(key, order.position(version));
        const after = next === NONE ? NONE : order.versionAt(key, next);
        if (after === NONE || history.versionWriter.at(after) !== to) continue;
        const verb = kind === Edge.WW ? 'wrote' : 'read';
        return [
          `it ${verb} ${versionText(history, version)}, before the other's ${history.versionValue.at(after)}`,
          key,
        ];
      }
      return ['', NONE];
    }
  }
}

function versions(history: History, op: number, kind: Row): readonly number[] {
  const found: number[] = [];
  for (let row = history.firstRow.at(op); row < history.endRow(op); row += 1) {
    if (history.rowKind.at(row) === kind) found.push(history.rowSubject.at(row));
  }
  return found;
}
