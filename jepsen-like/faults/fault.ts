import type { Random } from '#base/ports';
import type { Cluster } from '../../test/support/cluster/cluster.ts';
import type { Links } from '../../test/support/cluster/sites.ts';

/** What a fault is done to. */
export interface Scene {
  readonly cluster: Cluster;
  /** Undefined on loopback, where packets cannot be dropped. */
  readonly links: Links | undefined;
  readonly random: Random;
  /** The topics of the trial. */
  readonly topics: readonly string[];
  /** Tells the history what is done. */
  record(name: string, target: number, phase: 'begin' | 'end'): void;
}

export interface Fault {
  /** As in FAULT=name,… and in the table. */
  readonly name: string;
  readonly what: string;
  /** Of the cluster, beside that nothing which was acknowledged is lost. */
  readonly expected: string;
  /** Whether nodes need hosts of their own, whose packets can be dropped. */
  readonly needsHosts: boolean;
  /** Whether it may strike together with others, each another node. */
  readonly mixes: boolean;
  /** Whom it strikes: a leader, or whoever is drawn. */
  readonly target?: 'leader';
  /** How many times as long as the others it lasts; once unless given. */
  readonly lengths?: number;
  /** Why it cannot be done here, if it cannot. */
  missing?(links: Links | undefined): string | undefined;
  /** By what it is done here, if there is more than one way. */
  means?(links: Links | undefined): string | undefined;
  /** Before clients start; the cluster is whole again when it resolves. */
  prepare?(scene: Scene, target: number): Promise<void>;
  begin(scene: Scene, target: number): Promise<void>;
  /** Whatever was done is undone, or will be soon by the cluster itself. */
  end(scene: Scene, target: number): Promise<void>;
  /** The cluster is whole again: rejects if it has not come to that as it should have. */
  recovered?(scene: Scene, target: number): Promise<void>;
  /** When the trial has been judged: the node is again as the others are. */
  tidy?(scene: Scene, target: number): Promise<void>;
}
