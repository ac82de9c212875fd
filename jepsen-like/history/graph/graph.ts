import { bytes, integers } from '../columns.ts';

/** A directed graph whose edges have kinds, one bit each. A mask of kinds selects a part of it. */
export interface Graph {
  readonly nodes: number;
  /** The edges of node n are those from `first[n]` to before `first[n + 1]`. */
  readonly first: Int32Array;
  readonly targets: Int32Array;
  readonly kinds: Uint8Array;
}

export class GraphBuilder {
  readonly #from = integers();
  readonly #to = integers();
  readonly #kind = bytes();

  edge(from: number, to: number, kind: number): void {
    this.#from.push(from);
    this.#to.push(to);
    this.#kind.push(kind);
  }

  build(nodes: number): Graph {
    const edges = this.#from.length;
    const first = new Int32Array(nodes + 1);
    for (let edge = 0; edge < edges; edge += 1) {
      const after = this.#from.at(edge) + 1;
      first[after] = (first[after] ?? 0) + 1;
    }
    for (let node = 0; node < nodes; node += 1) first[node + 1] = (first[node + 1] ?? 0) + (first[node] ?? 0);
    const next = first.slice();
    const targets = new Int32Array(edges);
    const kinds = new Uint8Array(edges);
    for (let edge = 0; edge < edges; edge += 1) {
      const from = this.#from.at(edge);
      const place = next[from] ?? 0;
      targets[place] = this.#to.at(edge);
      kinds[place] = this.#kind.at(edge);
      next[from] = place + 1;
    }
    return { nodes, first, targets, kinds };
  }
}
