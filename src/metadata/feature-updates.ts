/** UpdateFeatures (KIP-584, KIP-1022): all updates of a request are made, or none. */
import { ErrorCode } from '#model/errors';
import { SUPPORTED_FEATURES } from '#model/features';
import { type ControllerState, type Decision, type Fault, fault, OK, type Outcome } from './decision.ts';
import type { MetadataImage } from './image.ts';

/** The wire's numbers. */
export const UpgradeType = { Upgrade: 1, SafeDowngrade: 2, UnsafeDowngrade: 3 } as const;

export interface FeatureUpdate {
  readonly feature: string;
  /** 0: off. */
  readonly level: number;
  /** One of UpgradeType; anything else is refused. */
  readonly upgradeType: number;
}

export interface UpdateFeaturesCommand {
  readonly updates: readonly FeatureUpdate[];
  readonly validateOnly: boolean;
}

/** A fault names the first update that cannot be made. Repeatable: a level that is reached already is no change. */
export function updateFeatures({ image }: ControllerState, command: UpdateFeaturesCommand): Decision<Outcome> {
  const { updates, validateOnly } = command;
  const names = new Set(updates.map(({ feature }) => feature));
  if (names.size < updates.length) {
    const message = 'The update names a feature more than once.';
    return { records: [], response: fault(ErrorCode.InvalidRequest, message) };
  }
  for (const update of updates) {
    const refusal = refuse(image, update);
    if (refusal === undefined) continue;
    const message = `The update failed for all features since the following feature had an error: ${refusal.message}`;
    return { records: [], response: fault(refusal.errorCode, message) };
  }
  const changed = updates.filter(({ feature, level }) => level !== levelOf(image, feature));
  const records = changed.map(({ feature, level }) => {
    return { kind: 'featureLevel', name: feature, level, epoch: 0 } as const;
  });
  return { records: validateOnly ? [] : records, response: OK };
}

function levelOf(image: MetadataImage, feature: string): number {
  return image.features.get(feature)?.level ?? 0;
}

function refuse(image: MetadataImage, { feature, level, upgradeType }: FeatureUpdate): Fault | undefined {
  const invalid = (why: string) =>
    fault(ErrorCode.InvalidUpdateVersion, `Invalid update version ${level} for feature ${feature}. ${why}`);
  const supported = SUPPORTED_FEATURES.find(({ name }) => name === feature);
  if (supported === undefined) return invalid('This cluster does not know the feature.');
  if (!Object.values<number>(UpgradeType).includes(upgradeType)) {
    return fault(ErrorCode.InvalidRequest, `The upgrade type ${upgradeType} of feature ${feature} is not known.`);
  }
  if (level < supported.min || level > supported.max) {
    return invalid(`The controller supports versions ${supported.min}-${supported.max}.`);
  }
  for (const broker of image.brokers.values()) {
    const range = broker.features.find(({ name }) => name === feature) ?? { min: 0, max: 0 };
    if (level >= range.min && level <= range.max) continue;
    return invalid(`Broker ${broker.id} supports versions ${range.min}-${range.max}.`);
  }
  const current = levelOf(image, feature);
  if (level >= current) {
    const isDowngrade = upgradeType !== UpgradeType.Upgrade && level > current;
    return isDowngrade ? invalid("Can't upgrade a feature by a downgrade.") : undefined;
  }
  if (upgradeType === UpgradeType.Upgrade) {
    return invalid(
      "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.",
    );
  }
  if (!supported.changedAt.some((changed) => level < changed && changed <= current)) return undefined;
  const message =
    upgradeType === UpgradeType.UnsafeDowngrade
      ? 'Unsafe metadata downgrade is not supported in this version.'
      : 'Refusing to perform the requested downgrade because it might delete metadata information.';
  return fault(ErrorCode.InvalidUpdateVersion, `Invalid ${feature} ${level}. ${message}`);
}
