/** Which brokers can hold and lead replicas, as one decision leaves them. */
import type { NodeId, Uuid } from '#model/ids';
import { DIRECTORY_MIGRATING, DIRECTORY_UNASSIGNED } from '#model/uuids';
import type { MetadataImage } from './image.ts';
import type { Broker, Partition } from './records.ts';

/** What the decision itself changes, which the image does not say yet. */
export interface Movement {
  /** Fenced or unregistered by it. */
  readonly leaving?: ReadonlySet<NodeId>;
  /** Unfenced by it. */
  readonly arriving?: NodeId;
  /** Its directories are from now on those of this broker. */
  readonly replaced?: Broker;
  /** Directories that have no room: nothing in them becomes a leader, and a leader in them stays where nobody else can lead. */
  readonly full?: ReadonlySet<Uuid>;
}

export class Electorate {
  readonly #image: MetadataImage;
  readonly #movement: Movement;

  constructor(image: MetadataImage, movement: Movement = {}) {
    this.#image = image;
    this.#movement = movement;
  }

  /** Whether its process is there. */
  lives(id: NodeId): boolean {
    const { leaving, arriving } = this.#movement;
    if (leaving?.has(id)) return false;
    return id === arriving || this.#image.brokers.get(id)?.fenced === false;
  }

  /** Whether a new leader or a new member of an ISR may be there. */
  isActive(id: NodeId): boolean {
    if (!this.lives(id)) return false;
    return id === this.#movement.arriving || this.#image.brokers.get(id)?.draining === false;
  }

  /** Whether a replica that is said to be in `directory` has its data (KIP-858). */
  holds(id: NodeId, directory: Uuid): boolean {
    if (directory === DIRECTORY_UNASSIGNED || directory === DIRECTORY_MIGRATING) return true;
    return this.#directories(id).includes(directory);
  }

  /** Whether it has the data of its replica of the partition. */
  hasReplica(id: NodeId, { replicas, directories }: Pick<Partition, 'replicas' | 'directories'>): boolean {
    const directory = directories[replicas.indexOf(id)];
    return directory !== undefined && this.holds(id, directory);
  }

  /** Whether it has no room for its replica of the partition; one that is somewhere in several directories is full when all are. */
  isFull(id: NodeId, { replicas, directories }: Pick<Partition, 'replicas' | 'directories'>): boolean {
    const { full } = this.#movement;
    if (full === undefined) return false;
    const directory = directories[replicas.indexOf(id)];
    if (directory !== undefined && full.has(directory)) return true;
    const all = this.#directories(id);
    return all.length > 0 && all.every((each) => full.has(each));
  }

  /** For a new replica: a broker with one directory uses that; with several it chooses (KIP-858). */
  directoryFor(id: NodeId): Uuid {
    const [only, ...more] = this.#directories(id);
    return only === undefined || more.length > 0 ? DIRECTORY_UNASSIGNED : only;
  }

  #directories(id: NodeId): readonly Uuid[] {
    const { replaced } = this.#movement;
    const broker = replaced?.id === id ? replaced : this.#image.brokers.get(id);
    return broker?.directories ?? [];
  }
}
