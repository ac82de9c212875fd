/** Topics that the cluster keeps for itself. */
export const OFFSETS_TOPIC = '__consumer_offsets';
export const TRANSACTIONS_TOPIC = '__transaction_state';
const SHARE_STATE_TOPIC = '__share_group_state';

export function isInternalTopic(topic: string): boolean {
  return topic === OFFSETS_TOPIC || topic === TRANSACTIONS_TOPIC || topic === SHARE_STATE_TOPIC;
}
