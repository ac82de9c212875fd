import { describe, expect, it } from 'vitest';
import { ErrorCode } from '#model/errors';
import { outcomeOf, TopicModel } from '#sim/workload/topic-model';
import { uuid } from './checkers/support.ts';

const shown = (partitions: number, id = uuid('first')) => ({ id, partitions });

function created(): TopicModel {
  const topic = new TopicModel('orders');
  topic.created('done', ErrorCode.None, uuid('first'), 2);
  return topic;
}

describe('what a client may expect of its topic', () => {
  it('is all of it when it was acknowledged', () => {
    const topic = created();
    expect(topic.faultOf(shown(2))).toBeUndefined();
    expect(topic.faultOf(undefined)).toContain('acknowledged and is not there');
    expect(topic.faultOf(shown(3))).toContain('3 partitions');
    expect(topic.faultOf(shown(2, uuid('second')))).toContain('has the id');
  });

  it('is nothing when it was refused, and either when nobody answered', () => {
    const [refused, unanswered] = [new TopicModel('a'), new TopicModel('b')];
    refused.created('refused', ErrorCode.InvalidReplicationFactor, undefined, 2);
    unanswered.created('unknown', undefined, undefined, 2);
    expect(refused.faultOf(shown(2))).toContain('is there');
    expect(refused.faultOf(undefined)).toBeUndefined();
    expect([unanswered.faultOf(shown(2)), unanswered.faultOf(undefined)]).toEqual([undefined, undefined]);
  });

  it('is that it is there when its node says that it was there already: it had asked twice', () => {
    const topic = new TopicModel('orders');
    topic.created('refused', ErrorCode.TopicAlreadyExists, undefined, 2);
    expect(topic.faultOf(undefined)).toContain('is not there');
    expect(topic.faultOf(shown(2))).toBeUndefined();
  });

  it('is that it is gone when its deletion was acknowledged, and either when nobody answered', () => {
    const [gone, unknown] = [created(), created()];
    gone.deleted('done', ErrorCode.None);
    unknown.deleted('unknown', undefined);
    expect(gone.faultOf(shown(2))).toContain('is there');
    expect([unknown.faultOf(shown(2)), unknown.faultOf(undefined)]).toEqual([undefined, undefined]);
  });

  it('is the new partitions when they were acknowledged, and either count when nobody answered', () => {
    const topic = created();
    topic.widened('unknown', 3);
    expect([topic.faultOf(shown(2)), topic.faultOf(shown(3))]).toEqual([undefined, undefined]);
    topic.widened('done', 4);
    expect([topic.faultOf(shown(3)), topic.faultOf(shown(4))]).toEqual([expect.anything(), undefined]);
  });

  it('is the value that was acknowledged last, and those that may still come', () => {
    const topic = created();
    topic.configured('done', 'retention.ms', '1');
    expect(topic.faultOfConfig('retention.ms', null)).toContain('retention.ms');
    topic.configured('unknown', 'retention.ms', '2');
    topic.configured('done', 'retention.ms', '3');
    expect(topic.faultOfConfig('retention.ms', '3')).toBeUndefined();
    expect(topic.faultOfConfig('retention.ms', '2')).toBeUndefined();
    expect(topic.faultOfConfig('retention.ms', '4')).toContain('it may be');
    expect(topic.faultOfConfig('segment.bytes', '4')).toBeUndefined();
  });
});

describe('an answer', () => {
  it('refuses only if it says so for certain', () => {
    expect(outcomeOf(ErrorCode.None)).toBe('done');
    expect(outcomeOf(ErrorCode.InvalidPartitions)).toBe('refused');
    for (const code of [undefined, ErrorCode.RequestTimedOut, ErrorCode.NotController, ErrorCode.UnknownServerError])
      expect(outcomeOf(code)).toBe('unknown');
  });
});
