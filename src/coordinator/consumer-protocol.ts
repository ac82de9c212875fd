/** Protocol type of Kafka consumers: the only one whose metadata the coordinator looks into. */
export const CONSUMER_PROTOCOL_TYPE = 'consumer';

/**
 * The topics of a consumer's subscription metadata: version (int16), then count (int32) and names, which begin every
 * version so far (Kafka's ConsumerProtocolSubscription). Undefined if the bytes do not fit that.
 */
export function subscriptionTopics(metadata: Uint8Array): readonly string[] | undefined {
  const view = new DataView(metadata.buffer, metadata.byteOffset, metadata.byteLength);
  if (metadata.length < 6 || view.getInt16(0) < 0) return undefined;
  const count = view.getInt32(2);
  // Each name takes at least its length: a count that cannot fit must not cost anything.
  if (count < 0 || count * 2 > metadata.length - 6) return undefined;
  const text = Buffer.from(metadata.buffer, metadata.byteOffset, metadata.byteLength);
  const topics: string[] = [];
  let position = 6;
  for (let index = 0; index < count; index += 1) {
    if (position + 2 > metadata.length) return undefined;
    const length = view.getInt16(position);
    position += 2;
    if (length < 0 || position + length > metadata.length) return undefined;
    topics.push(text.toString('utf8', position, position + length));
    position += length;
  }
  return topics;
}
