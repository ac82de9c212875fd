/** The configs set on resources. */
import { configKey, splitConfigKey } from './image-snapshot.ts';
import type { ConfigRecord, ResourceType } from './records.ts';

const NONE: ReadonlyMap<string, string> = new Map();

export class ConfigTable {
  /** By `configKey`; no resource without a config. */
  readonly #configs = new Map<string, Map<string, string>>();

  of(type: ResourceType, name: string): ReadonlyMap<string, string> {
    return this.#configs.get(configKey(type, name)) ?? NONE;
  }

  entries(): Iterable<readonly [string, ReadonlyMap<string, string>]> {
    return this.#configs;
  }

  *resources(): IterableIterator<readonly [ResourceType, string]> {
    for (const key of this.#configs.keys()) yield splitConfigKey(key);
  }

  replay({ resourceType, resourceName, key, value }: ConfigRecord): void {
    const resource = configKey(resourceType, resourceName);
    const configs = this.#configs.get(resource) ?? new Map<string, string>();
    if (value === null) configs.delete(key);
    else configs.set(key, value);
    if (configs.size === 0) this.#configs.delete(resource);
    else this.#configs.set(resource, configs);
  }

  remove(type: ResourceType, name: string): void {
    this.#configs.delete(configKey(type, name));
  }

  /** Resources of which the configs are others there. */
  *differences(other: ConfigTable): IterableIterator<readonly [ResourceType, string]> {
    for (const key of new Set([...this.#configs.keys(), ...other.#configs.keys()])) {
      const [mine, its] = [this.#configs.get(key) ?? NONE, other.#configs.get(key) ?? NONE];
      if (mine.size !== its.size || [...mine].some(([name, value]) => its.get(name) !== value))
        yield splitConfigKey(key);
    }
  }

  become(other: ConfigTable): void {
    this.#configs.clear();
    for (const [key, configs] of other.#configs) this.#configs.set(key, configs);
  }
}
