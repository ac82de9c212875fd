import type { Topic } from '#metadata/image';
import { ErrorCode } from '#model/errors';
import type { Uuid } from '#model/ids';

interface Indexed {
  readonly partitionIndex: number;
}

interface TopicOf<P> {
  readonly name: string;
  readonly partitions: readonly P[];
}

/** A topic of a request beside the one that it means; undefined if there is none. */
export interface Match<Asked> {
  readonly asked: Asked;
  readonly topic: Topic | undefined;
}

/** What may go to the coordinator: offsets are kept of partitions that exist. Topics without any are left out. */
export function knownPartitions<P extends Indexed>(
  matches: readonly Match<TopicOf<P>>[],
): { readonly name: string; readonly topicId: Uuid; readonly partitions: readonly P[] }[] {
  return matches.flatMap(({ asked, topic }) => {
    if (topic === undefined) return [];
    const partitions = asked.partitions.filter(({ partitionIndex }) => topic.partitions[partitionIndex] !== undefined);
    return partitions.length === 0 ? [] : [{ name: topic.name, topicId: topic.id, partitions }];
  });
}

interface Answer extends Indexed {
  readonly errorCode: ErrorCode;
}

/** Everything that was asked, in its order, with the coordinator's errors where it was asked too. */
export function allAnswers<Asked extends TopicOf<Indexed>>(
  matches: readonly Match<Asked>[],
  answers: readonly TopicOf<Answer>[],
  unknownTopic: ErrorCode,
): readonly { readonly asked: Asked; readonly partitions: readonly Answer[] }[] {
  const errors = new Map<string, ErrorCode>();
  for (const { name, partitions } of answers) {
    for (const { partitionIndex, errorCode } of partitions) errors.set(`${name}/${partitionIndex}`, errorCode);
  }
  return matches.map(({ asked, topic }) => {
    const missing = topic === undefined ? unknownTopic : ErrorCode.UnknownTopicOrPartition;
    const partitions = asked.partitions.map(({ partitionIndex }) => ({
      partitionIndex,
      errorCode: errors.get(`${topic?.name}/${partitionIndex}`) ?? missing,
    }));
    return { asked, partitions };
  });
}
