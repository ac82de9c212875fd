/** Why a node cannot start or go on, in a sentence for its user. */
export class NodeError extends Error {
  override readonly name = 'NodeError';
}
