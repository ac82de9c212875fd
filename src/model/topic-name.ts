/** What a topic may be called (Kafka's Topic.validate): it is also the name of a folder. */
export const TOPIC_NAME_CHARS_MAX = 249;
const ALLOWED = /^[a-zA-Z0-9._-]+$/;

/** Why `name` is no topic name, in Kafka's words, or undefined. */
export function validateTopicName(name: string): string | undefined {
  if (name === '') return 'Topic name is invalid: the empty string is not allowed';
  if (name === '.' || name === '..') return "Topic name is invalid: '.' or '..' is not allowed";
  if (name.length > TOPIC_NAME_CHARS_MAX) {
    return `Topic name is invalid: the length of '${name}' is longer than the max allowed length ${TOPIC_NAME_CHARS_MAX}`;
  }
  if (!ALLOWED.test(name)) {
    return `Topic name is invalid: '${name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'`;
  }
  return undefined;
}

/** Two names with the same key collide: metric names cannot tell '.' from '_'. */
export function topicCollisionKey(name: string): string {
  return name.replaceAll('.', '_');
}
