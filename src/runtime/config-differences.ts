import type { Logger } from '#base/ports';
import type { MetadataImage } from '#metadata/image';
import { ResourceType } from '#metadata/records';
import { CLUSTER_ONLY } from '#model/broker-config';
import { topicDefaults } from '#model/config-layers';
import type { NodeId } from '#model/ids';

/** What a node's file says of the configs that must be the same everywhere; undefined: nothing. */
export function clusterConfigsOf(given: ReadonlyMap<string, string>): Readonly<Record<string, string>> | undefined {
  const said = [...given].filter(([name]) => CLUSTER_ONLY.has(name));
  return said.length > 0 ? Object.fromEntries(said) : undefined;
}

/**
 * Says which broker's file gives topics another min.insync.replicas or flush.policy than the active controller's does. Nothing makes files
 * the same: a value for the cluster, which stands above all files, does.
 */
export class ConfigDifferences {
  readonly #logger: Logger;
  readonly #image: Pick<MetadataImage, 'configs' | 'cluster'>;
  readonly #given: ReadonlyMap<string, string>;
  /** What was said last; of each broker at most. */
  readonly #said = new Map<NodeId, string>();

  constructor(logger: Logger, image: Pick<MetadataImage, 'configs' | 'cluster'>, given: ReadonlyMap<string, string>) {
    this.#logger = logger;
    this.#image = image;
    this.#given = given;
  }

  /** `configs`: `clusterConfigsOf` the broker's file. */
  heard(id: NodeId, configs: Readonly<Record<string, string>> = {}): void {
    const isSame = [...CLUSTER_ONLY].every((name) => configs[name] === this.#given.get(name));
    const differing = isSame ? [] : this.#differing(new Map(Object.entries(configs)));
    const text = differing.join(', ');
    if (text === (this.#said.get(id) ?? '')) return;
    this.#said.set(id, text);
    for (const config of differing) {
      this.#logger.warn(
        { broker: id, config },
        "a broker's file says otherwise than the active controller's: an election may lose what the broker has acknowledged",
      );
    }
  }

  #differing(configs: ReadonlyMap<string, string>): readonly string[] {
    const [here, there] = [this.#defaults(this.#given), this.#defaults(configs)];
    return [...CLUSTER_ONLY].filter((name) => here.get(name) !== there.get(name));
  }

  /** Both configs have one name, of topics and of brokers. */
  #defaults(given: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
    const clusterWide = this.#image.configs(ResourceType.Broker, '');
    return topicDefaults({
      perBroker: new Map(),
      clusterWide,
      given,
      targetSize: this.#image.cluster?.targetSize ?? 1,
    });
  }
}
