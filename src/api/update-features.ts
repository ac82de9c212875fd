import { UpgradeType } from '#metadata/feature-updates';
import { ErrorCode } from '#model/errors';
import { ApiKey } from '#protocol/generated/apis';
import { readUpdateFeaturesRequest } from '#protocol/generated/update-features-request';
import { writeUpdateFeaturesResponse } from '#protocol/generated/update-features-response';
import { api } from './api.ts';
import { askController } from './controller-call.ts';

/** From this version on only the whole request succeeds or fails. */
const FIRST_WITHOUT_RESULTS = 2;

export const updateFeaturesApi = api(
  ApiKey.UpdateFeatures,
  readUpdateFeaturesRequest,
  writeUpdateFeaturesResponse,
  async ({ featureUpdates, validateOnly, timeoutMs }, { broker, header }) => {
    const updates = featureUpdates.map(({ feature, maxVersionLevel, allowDowngrade, upgradeType }) => ({
      feature,
      level: maxVersionLevel,
      // Version 0 has a flag instead.
      upgradeType: header.apiVersion === 0 && allowDowngrade ? UpgradeType.SafeDowngrade : upgradeType,
    }));
    const { errorCode, message } = await askController(broker, 'updateFeatures', { updates, validateOnly }, timeoutMs);
    const hasResults = header.apiVersion < FIRST_WITHOUT_RESULTS && errorCode === ErrorCode.None;
    const results = updates.map(({ feature }) => ({ feature, errorCode, errorMessage: null }));
    return { throttleTimeMs: 0, errorCode, errorMessage: message, results: hasResults ? results : [] };
  },
);
