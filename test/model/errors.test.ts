import { describe, expect, it } from 'vitest';
import { ErrorCode, errorName, isRetriable } from '#model/errors';

describe('error codes', () => {
  it('are the 135 of Kafka 4.3, without a gap from -1 to 133', () => {
    const codes = Object.values(ErrorCode).sort((a, b) => a - b);
    expect(codes).toEqual(Array.from({ length: 135 }, (_, index) => index - 1));
  });

  it('print as Kafka names them', () => {
    expect(errorName(ErrorCode.None)).toBe('NONE');
    expect(errorName(ErrorCode.UnknownServerError)).toBe('UNKNOWN_SERVER_ERROR');
    expect(errorName(ErrorCode.NotLeaderOrFollower)).toBe('NOT_LEADER_OR_FOLLOWER');
    expect(errorName(12345)).toBe('ERROR_12345');
  });

  it('are retriable where a client may simply try again', () => {
    expect(isRetriable(ErrorCode.NotLeaderOrFollower)).toBe(true);
    expect(isRetriable(ErrorCode.CoordinatorLoadInProgress)).toBe(true);
    expect(isRetriable(ErrorCode.CorruptMessage)).toBe(true);
    expect(isRetriable(ErrorCode.None)).toBe(false);
    expect(isRetriable(ErrorCode.InvalidRecord)).toBe(false);
    expect(isRetriable(12345)).toBe(false);
  });
});
