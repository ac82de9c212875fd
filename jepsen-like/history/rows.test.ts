import { describe, expect, test } from 'vitest';
import { ANOMALIES, type Anomaly } from './anomalies.ts';
import { A, B, C, FINAL, M, N, RETRYING, Scenario, UNCOMMITTED, WEAK } from './scenario.ts';

type Story = (scenario: Scenario) => Scenario;

interface Case {
  readonly anomaly: Anomaly;
  /** What is wrong, and right. */
  readonly bad: readonly [string, Story];
  readonly good: readonly [string, Story];
}

/** Values 1, 2 and 3 at offsets 0, 1 and 2 of q-0. */
const three: Story = (s) => s.sent(A, 'q-0', 1, 0).sent(A, 'q-0', 2, 1).sent(A, 'q-0', 3, 2);
const readThree: Story = (s) => s.polled(FINAL, { 'q-0': [0, 1, 1, 2, 2, 3] });

/** Those three, of which a member of a group that begins with the earliest was given the last two. */
const withoutFirst: Story = (s) => {
  s.recorder.client({ p: 9, isolation: 'read_committed', group: 'group', protocol: 'classic', reset: 'earliest' });
  return readThree(three(s)).polled(9, { 'q-0': [1, 2, 2, 3] });
};

/** Two records to be copied, and how it is done. */
const input: Story = (s) => {
  s.recorder.copy('in', 'out', 'group');
  return s.sent(A, 'in-0', 1, 0).sent(A, 'in-0', 2, 1);
};
const copyFirst: Story = (s) =>
  s.did(M, 'txn', 'ok', ['poll', { 'in-0': [0, 1] }], ['copy', 'out-0', 11, 'in-0', 0, 0], ['commit', 'in-0', 1]);
/** It has polled both, and leaves the second to the next. */
const copyOfMore: Story = (s) =>
  s.did(M, 'txn', 'ok', ['poll', { 'in-0': [0, 1, 1, 2] }], ['copy', 'out-0', 11, 'in-0', 0, 0], ['commit', 'in-0', 1]);
const copySecondAs = (p: number, s: Scenario): Scenario =>
  s.did(p, 'txn', 'ok', ['poll', { 'in-0': [1, 2] }], ['copy', 'out-0', 12, 'in-0', 1, 2], ['commit', 'in-0', 2]);
const copySecond: Story = (s) => copySecondAs(M, s);
const readCopies: Story = (s) => s.polled(FINAL, { 'in-0': [0, 1, 1, 2], 'out-0': [0, 11, 2, 12] });

const CASES: readonly Case[] = [
  {
    anomaly: 'lost-write',
    bad: [
      'a value that nobody read lies below one that somebody did',
      (s) =>
        three(s)
          .polled(B, { 'q-0': [0, 1] })
          .polled(C, { 'q-0': [2, 3] }),
    ],
    good: [
      'two readers have read it all, one of them from the middle',
      (s) =>
        three(s)
          .polled(B, { 'q-0': [0, 1] })
          .polled(C, { 'q-0': [1, 2, 2, 3] }),
    ],
  },
  {
    anomaly: 'lost-write',
    bad: [
      'a transaction that was not known to end is read in part',
      (s) =>
        s
          .did(A, 'txn', 'info', ['send', 'q-0', 1, 0], ['send', 'r-0', 2, 0])
          .sent(B, 'r-0', 3, 2)
          .polled(FINAL, { 'q-0': [0, 1], 'r-0': [2, 3] }),
    ],
    good: [
      'one is not read at all',
      (s) =>
        s
          .did(A, 'txn', 'info', ['send', 'q-0', 1, 0], ['send', 'r-0', 2, 0])
          .sent(B, 'r-0', 3, 2)
          .polled(FINAL, { 'r-0': [2, 3] }),
    ],
  },
  {
    anomaly: 'lost-write',
    bad: [
      'a committed transaction is read only by who reads what is uncommitted',
      (s) =>
        s
          .did(A, 'txn', 'ok', ['send', 'q-0', 1, 0])
          .sent(B, 'q-0', 2, 2)
          .polled(UNCOMMITTED, { 'q-0': [0, 1, 2, 2] })
          .polled(FINAL, { 'q-0': [2, 2] }),
    ],
    good: [
      'an aborted one is',
      (s) =>
        s
          .did(A, 'txn', 'fail', ['send', 'q-0', 1, 0])
          .sent(B, 'q-0', 2, 2)
          .polled(UNCOMMITTED, { 'q-0': [0, 1, 2, 2] })
          .polled(FINAL, { 'q-0': [2, 2] }),
    ],
  },
  {
    anomaly: 'lost-write',
    bad: [
      'somebody has read the last value, and it is not there in the end',
      (s) =>
        three(s)
          .polled(B, { 'q-0': [0, 1, 1, 2, 2, 3] })
          .assigned(FINAL, 'q-0', 0)
          .polled(FINAL, { 'q-0': [0, 1, 1, 2] }),
    ],
    good: [
      'who read to the end before is no final reader',
      (s) =>
        readThree(three(s).assigned(B, 'q-0', 0))
          .polled(C, { 'q-0': [0, 1, 1, 2, 2, 3] })
          .polled(B, { 'q-0': [0, 1] }),
    ],
  },
  {
    anomaly: 'lost-write',
    bad: [
      'everything was read, and nothing is there in the end',
      (s) =>
        three(s)
          .polled(B, { 'q-0': [0, 1, 1, 2, 2, 3] })
          .assigned(FINAL, 'q-0', 0)
          .polled(FINAL, {}),
    ],
    good: [
      'the final reader is to begin behind the first, and what was aborted is not there',
      (s) =>
        three(s)
          .did(A, 'txn', 'fail', ['send', 'q-0', 4, 3])
          .polled(UNCOMMITTED, { 'q-0': [0, 1, 1, 2, 2, 3, 3, 4] })
          .assigned(FINAL, 'q-0', 1)
          .polled(FINAL, { 'q-0': [1, 2, 2, 3] }),
    ],
  },
  {
    anomaly: 'unseen',
    bad: [
      'the offset of a transaction is found, of which nothing else is there',
      (s) =>
        s
          .did(M, 'txn', 'info', ['send', 'q-0', 1], ['commit', 'r-0', 5])
          .did(N, 'committed', 'ok', ['committed', 'r-0', 5]),
    ],
    good: [
      'another operation has committed that offset too',
      (s) =>
        s
          .committed(N, 3, 'ok', 'r-0', 5)
          .did(M, 'txn', 'info', ['send', 'q-0', 1], ['commit', 'r-0', 5])
          .did(N, 'committed', 'ok', ['committed', 'r-0', 5]),
    ],
  },
  {
    anomaly: 'unseen',
    bad: ['the last value is acknowledged, and nobody read it', (s) => three(s).polled(FINAL, { 'q-0': [0, 1, 1, 2] })],
    good: [
      'it is not known whether it was written',
      (s) =>
        s
          .sent(A, 'q-0', 1, 0)
          .did(A, 'send', 'info', ['send', 'q-0', 3])
          .polled(FINAL, { 'q-0': [0, 1] }),
    ],
  },
  {
    anomaly: 'unseen',
    bad: [
      'one of several sends was acknowledged before the producer gave up',
      (s) => s.did(A, 'send', 'info', ['send', 'q-0', 1, 0], ['send', 'q-0', 2]),
    ],
    good: ['none was', (s) => s.did(A, 'send', 'info', ['send', 'q-0', 1], ['send', 'q-0', 2])],
  },
  {
    anomaly: 'unseen',
    bad: [
      'a transaction is read, and read beyond, only by who reads what is uncommitted',
      (s) =>
        s
          .did(A, 'txn', 'ok', ['send', 'q-0', 1, 0])
          .sent(B, 'q-0', 2, 2)
          .polled(UNCOMMITTED, { 'q-0': [0, 1, 2, 2] }),
    ],
    good: [
      'an assignment that failed is none',
      (s) =>
        readThree(three(s))
          .did(B, 'assign', 'fail', ['assign', 'q-0', 0])
          .polled(B, { 'q-0': [1, 2] }),
    ],
  },
  {
    anomaly: 'unseen',
    bad: ['not in the end either', (s) => s.sent(A, 'q-0', 1, 0).assigned(FINAL, 'q-0', 0).polled(FINAL, {})],
    good: ['it was not promised', (s) => s.did(A, 'send', 'fail', ['send', 'q-0', 1]).assigned(FINAL, 'q-0', 0)],
  },
  {
    anomaly: 'G1a',
    bad: [
      'what was aborted is read, and need not be there in the end',
      (s) =>
        s
          .did(A, 'txn', 'fail', ['send', 'q-0', 1, 0])
          .polled(B, { 'q-0': [0, 1] })
          .assigned(FINAL, 'q-0', 0)
          .polled(FINAL, {}),
    ],
    good: [
      'it is not read',
      (s) => s.did(A, 'txn', 'fail', ['send', 'q-0', 1, 0]).assigned(FINAL, 'q-0', 0).polled(FINAL, {}),
    ],
  },
  {
    anomaly: 'poll-skip',
    bad: [
      'a transaction polls too far',
      (s) =>
        readThree(three(s))
          .polled(B, { 'q-0': [0, 1] })
          .did(B, 'txn', 'ok', ['poll', { 'q-0': [2, 3] }]),
    ],
    good: [
      'it goes on',
      (s) =>
        readThree(three(s))
          .polled(B, { 'q-0': [0, 1] })
          .did(B, 'txn', 'ok', ['poll', { 'q-0': [1, 2] }])
          .polled(B, { 'q-0': [2, 3] }),
    ],
  },
  {
    anomaly: 'int-send-skip',
    bad: [
      'a foreign value lies between two copies of a transaction',
      (s) =>
        s
          .begin(A, 'txn', ['copy', 'q-0', 1, 'in-0', 0], ['copy', 'q-0', 3, 'in-0', 1])
          .sent(B, 'q-0', 2, 1)
          .end(A, 'ok', ['copy', 'q-0', 1, 'in-0', 0, 0], ['copy', 'q-0', 3, 'in-0', 1, 2])
          .polled(FINAL, { 'q-0': [0, 1, 1, 2, 2, 3] }),
    ],
    good: [
      'it lies between what was sent at once, outside of a transaction',
      (s) =>
        s
          .begin(A, 'send', ['send', 'q-0', 1], ['send', 'q-0', 3])
          .sent(B, 'q-0', 2, 1)
          .end(A, 'ok', ['send', 'q-0', 1, 0], ['send', 'q-0', 3, 2])
          .polled(FINAL, { 'q-0': [0, 1, 1, 2, 2, 3] }),
    ],
  },
  {
    anomaly: 'nonmonotonic-send',
    bad: [
      'it lies below the furthest of what was sent at once before',
      (s) =>
        s
          .did(RETRYING, 'send', 'ok', ['send', 'q-0', 1, 2], ['send', 'q-0', 2, 0])
          .sent(RETRYING, 'q-0', 3, 1)
          .polled(FINAL, { 'q-0': [0, 2, 1, 3, 2, 1] }),
    ],
    good: [
      'nobody has asked for an acknowledgement',
      (s) => {
        s.recorder.client({ p: 9, acks: 0, idempotent: false });
        return s
          .did(9, 'send', 'ok', ['send', 'q-0', 1])
          .did(9, 'send', 'ok', ['send', 'q-0', 2])
          .polled(FINAL, { 'q-0': [0, 2, 1, 1] });
      },
    ],
  },
  {
    anomaly: 'nonmonotonic-send-realtime',
    bad: [
      'a transaction has sent it, of which nobody was told that it has committed',
      (s) =>
        s
          .did(A, 'txn', 'info', ['send', 'q-0', 1, 1])
          .sent(B, 'q-0', 2, 0)
          .polled(FINAL, { 'q-0': [0, 2, 1, 1] }),
    ],
    good: [
      'it was not told where what it has sent lies',
      (s) =>
        s
          .did(A, 'txn', 'info', ['send', 'q-0', 1])
          .sent(B, 'q-0', 2, 0)
          .polled(FINAL, { 'q-0': [0, 2, 1, 1] }),
    ],
  },
  {
    anomaly: 'double-consume',
    bad: [
      'a transaction commits beyond what another has polled and committed',
      (s) =>
        readCopies(
          copySecond(
            copyFirst(input(s)).did(N, 'txn', 'ok', ['poll', { 'in-0': [0, 1, 1, 2] }], ['commit', 'in-0', 1]),
          ),
        ),
    ],
    good: [
      'it has polled more than it commits, and has no part in what others do',
      (s) => {
        s.recorder.client({ p: 9, acks: 'all', idempotent: true, isolation: 'read_committed', group: 'another' });
        copyOfMore(input(s)).did(9, 'txn', 'ok', ['poll', { 'in-0': [0, 1] }], ['commit', 'in-0', 1]);
        return readCopies(copySecondAs(N, s));
      },
    ],
  },
  {
    anomaly: 'double-copy',
    bad: [
      'both copies are of one transaction',
      (s) =>
        copySecond(copyFirst(input(s)))
          .did(N, 'txn', 'ok', ['copy', 'out-0', 13, 'in-0', 0, 4], ['copy', 'out-0', 14, 'in-0', 0, 5])
          .polled(FINAL, { 'in-0': [0, 1, 1, 2], 'out-0': [0, 11, 2, 12, 4, 13, 5, 14] }),
    ],
    good: [
      'the second is in another topic',
      (s) =>
        readCopies(copySecond(copyFirst(input(s)).did(N, 'txn', 'ok', ['copy', 'else-0', 13, 'in-0', 0, 0]))).polled(
          C,
          {
            'else-0': [0, 13],
          },
        ),
    ],
  },
  {
    anomaly: 'uncopied',
    bad: [
      'it is copied by a transaction that was aborted',
      (s) =>
        copyFirst(input(s))
          .did(M, 'txn', 'fail', ['poll', { 'in-0': [1, 2] }], ['copy', 'out-0', 13, 'in-0', 1, 2])
          .did(M, 'txn', 'ok', ['poll', { 'in-0': [1, 2] }], ['commit', 'in-0', 2])
          .polled(FINAL, { 'in-0': [0, 1, 1, 2], 'out-0': [0, 11] }),
    ],
    good: [
      'what was aborted is not to be copied',
      (s) =>
        readCopies(
          copySecond(
            copyFirst(input(s).did(A, 'txn', 'fail', ['send', 'in-0', 3, 2])).polled(UNCOMMITTED, { 'in-0': [2, 3] }),
          ),
        ),
    ],
  },
  {
    anomaly: 'group-skip',
    bad: [
      'the group goes back after it has committed too far',
      (s) =>
        readThree(three(s))
          .polled(M, { 'q-0': [0, 1] })
          .polled(N, { 'q-0': [2, 3] })
          .committed(N, 3, 'ok', 'q-0', 3)
          .committed(N, 3, 'ok', 'q-0', 1),
    ],
    good: [
      'what was aborted is given to nobody',
      (s) =>
        readThree(three(s).did(A, 'txn', 'fail', ['send', 'q-0', 4, 3]).sent(A, 'q-0', 5, 5))
          .polled(UNCOMMITTED, { 'q-0': [3, 4, 5, 5] })
          .polled(M, { 'q-0': [0, 1, 1, 2, 2, 3, 5, 5] })
          .polled(B, { 'q-0': [5, 5] })
          .committed(M, 3, 'ok', 'q-0', 6),
    ],
  },
  {
    anomaly: 'weak-loss',
    bad: [
      'a value acknowledged by its leader alone is gone',
      (s) =>
        s
          .sent(WEAK, 'q-0', 1, 0)
          .sent(A, 'q-0', 2, 0)
          .polled(FINAL, { 'q-0': [0, 2] }),
    ],
    good: [
      'it is there',
      (s) =>
        s
          .sent(WEAK, 'q-0', 1, 0)
          .sent(A, 'q-0', 2, 1)
          .polled(FINAL, { 'q-0': [0, 1, 1, 2] }),
    ],
  },
  {
    anomaly: 'duplicate',
    bad: ['a value is read at two offsets', (s) => s.sent(A, 'q-0', 1, 0).polled(FINAL, { 'q-0': [0, 1, 1, 1] })],
    good: [
      'two values are',
      (s) =>
        s
          .sent(A, 'q-0', 1, 0)
          .sent(A, 'q-0', 2, 1)
          .polled(FINAL, { 'q-0': [0, 1, 1, 2] }),
    ],
  },
  {
    anomaly: 'duplicate',
    bad: ['a value is not where its producer was told', (s) => s.sent(A, 'q-0', 1, 0).polled(FINAL, { 'q-0': [4, 1] })],
    good: ['its offset is beyond a gap', (s) => s.sent(A, 'q-0', 1, 4).polled(FINAL, { 'q-0': [4, 1] })],
  },
  {
    anomaly: 'retry-duplicate',
    bad: [
      'a producer without idempotence has written twice',
      (s) => s.sent(RETRYING, 'q-0', 1, 0).polled(FINAL, { 'q-0': [0, 1, 1, 1] }),
    ],
    good: ['it has not', (s) => s.sent(RETRYING, 'q-0', 1, 0).polled(FINAL, { 'q-0': [0, 1] })],
  },
  {
    anomaly: 'inconsistent-offsets',
    bad: [
      'two readers find different values at one offset',
      (s) =>
        s
          .sent(A, 'q-0', 1, 0)
          .did(B, 'send', 'info', ['send', 'q-0', 2])
          .polled(C, { 'q-0': [0, 1] })
          .polled(FINAL, { 'q-0': [0, 2] }),
    ],
    good: [
      'they lie at the same offset of two partitions',
      (s) =>
        s
          .sent(A, 'q-0', 1, 0)
          .did(B, 'send', 'info', ['send', 'q-1', 2])
          .polled(C, { 'q-0': [0, 1] })
          .polled(FINAL, { 'q-1': [0, 2] }),
    ],
  },
  {
    anomaly: 'inconsistent-offsets',
    bad: [
      'a producer is told an offset at which another value is read',
      (s) =>
        s
          .sent(A, 'q-0', 1, 0)
          .sent(B, 'q-0', 2, 0)
          .polled(C, { 'q-0': [0, 1] })
          .polled(FINAL, { 'q-0': [0, 2] }),
    ],
    good: [
      'the first was acknowledged by its leader alone, and is gone',
      (s) =>
        s
          .sent(WEAK, 'q-0', 1, 0)
          .sent(B, 'q-0', 2, 0)
          .polled(FINAL, { 'q-0': [0, 2] }),
    ],
  },
  {
    anomaly: 'inconsistent-offsets',
    bad: [
      'a producer that waits for all is told an offset at which another value is read, though its own was read elsewhere',
      (s) =>
        s
          .sent(RETRYING, 'q-0', 1, 1)
          .sent(B, 'q-0', 2, 1)
          .polled(FINAL, { 'q-0': [0, 1, 1, 2] }),
    ],
    good: [
      'one that waits for the leader alone is, and has written it twice',
      (s) => {
        s.recorder.client({ p: 9, acks: 1, idempotent: false });
        return s
          .sent(9, 'q-0', 1, 1)
          .sent(B, 'q-0', 2, 1)
          .polled(FINAL, { 'q-0': [0, 1, 1, 2] });
      },
    ],
  },
  {
    anomaly: 'phantom',
    bad: ['a value is read that nobody sent', (s) => s.sent(A, 'q-0', 1, 0).polled(FINAL, { 'q-0': [0, 1, 1, 2] })],
    good: [
      'its sender never came back',
      (s) =>
        s
          .begin(B, 'send', ['send', 'q-0', 2])
          .sent(A, 'q-0', 1, 0)
          .polled(FINAL, { 'q-0': [0, 1, 1, 2] }),
    ],
  },
  {
    anomaly: 'G1a',
    bad: [
      'an aborted value is read',
      (s) => s.did(A, 'txn', 'fail', ['send', 'q-0', 1, 0]).polled(FINAL, { 'q-0': [0, 1] }),
    ],
    good: [
      'by who reads what is uncommitted',
      (s) => s.did(A, 'txn', 'fail', ['send', 'q-0', 1, 0]).polled(UNCOMMITTED, { 'q-0': [0, 1] }),
    ],
  },
  {
    anomaly: 'G1a',
    bad: [
      'a refused value is read, if only by who reads what is uncommitted',
      (s) => s.did(A, 'send', 'fail', ['send', 'q-0', 1]).polled(UNCOMMITTED, { 'q-0': [0, 1] }),
    ],
    good: [
      'it was not known to be refused',
      (s) => s.did(A, 'send', 'info', ['send', 'q-0', 1]).polled(UNCOMMITTED, { 'q-0': [0, 1] }),
    ],
  },
  {
    anomaly: 'G1a',
    bad: [
      'by a transaction that is aborted itself',
      (s) =>
        s
          .did(A, 'txn', 'fail', ['send', 'q-0', 1, 0])
          .did(B, 'txn', 'fail', ['poll', { 'q-0': [0, 1] }], ['send', 'r-0', 2, 0]),
    ],
    good: [
      'what it reads is not known to be aborted',
      (s) =>
        s
          .did(A, 'txn', 'info', ['send', 'q-0', 1, 0])
          .did(B, 'txn', 'fail', ['poll', { 'q-0': [0, 1] }], ['send', 'r-0', 2, 0]),
    ],
  },
  {
    anomaly: 'precommitted-read',
    bad: [
      'a transaction reads its own',
      (s) => s.did(A, 'txn', 'ok', ['send', 'q-0', 1, 0], ['poll', { 'q-0': [0, 1] }]),
    ],
    good: [
      'the next of the same process does',
      (s) => s.did(A, 'txn', 'ok', ['send', 'q-0', 1, 0]).did(A, 'txn', 'ok', ['poll', { 'q-0': [0, 1] }]),
    ],
  },
  {
    anomaly: 'int-poll-skip',
    bad: ['one poll leaves a value out', (s) => readThree(three(s)).polled(B, { 'q-0': [0, 1, 2, 3] })],
    good: [
      'it leaves out an aborted one, as it should',
      (s) =>
        s
          .sent(A, 'q-0', 1, 0)
          .did(A, 'txn', 'fail', ['send', 'q-0', 2, 1])
          .sent(A, 'q-0', 3, 3)
          .polled(UNCOMMITTED, { 'q-0': [0, 1, 1, 2, 3, 3] })
          .polled(B, { 'q-0': [0, 1, 3, 3] }),
    ],
  },
  {
    anomaly: 'int-poll-skip',
    bad: [
      'who reads what is uncommitted leaves out an aborted one that another read',
      (s) =>
        s
          .sent(A, 'q-0', 1, 0)
          .did(A, 'txn', 'fail', ['send', 'q-0', 2, 1])
          .sent(A, 'q-0', 3, 3)
          .polled(UNCOMMITTED, { 'q-0': [0, 1, 1, 2, 3, 3] })
          .assigned(UNCOMMITTED, 'q-0', 0)
          .polled(UNCOMMITTED, { 'q-0': [0, 1, 3, 3] }),
    ],
    good: [
      'there is a marker where offsets leave a gap',
      (s) =>
        s
          .sent(A, 'q-0', 1, 0)
          .sent(A, 'q-0', 3, 3)
          .polled(UNCOMMITTED, { 'q-0': [0, 1, 3, 3] }),
    ],
  },
  {
    anomaly: 'int-nonmonotonic-poll',
    bad: ['one poll goes back', (s) => readThree(three(s)).polled(B, { 'q-0': [1, 2, 0, 1] })],
    good: [
      'two keys are each in order',
      (s) =>
        readThree(three(s))
          .sent(A, 'r-0', 4, 0)
          .polled(B, { 'q-0': [1, 2], 'r-0': [0, 4] }),
    ],
  },
  {
    anomaly: 'int-nonmonotonic-poll',
    bad: [
      'a member of a group goes back within one poll',
      (s) =>
        readThree(three(s))
          .did(M, 'subscribe', 'ok', ['subscribe', 'q'])
          .polled(M, { 'q-0': [1, 2, 0, 1] }),
    ],
    good: [
      'it was assigned the partition anew while it polled',
      (s) =>
        readThree(three(s))
          .did(M, 'subscribe', 'ok', ['subscribe', 'q'])
          .begin(M, 'poll', ['poll'])
          .rebalanced(M, 1, { 'q-0': 0 })
          .end(M, 'ok', ['poll', { 'q-0': [1, 2, 0, 1] }]),
    ],
  },
  {
    anomaly: 'poll-skip',
    bad: [
      'the next poll begins too far',
      (s) =>
        readThree(three(s))
          .polled(B, { 'q-0': [0, 1] })
          .polled(B, { 'q-0': [2, 3] }),
    ],
    good: [
      'it was told to begin there',
      (s) =>
        readThree(three(s))
          .polled(B, { 'q-0': [0, 1] })
          .assigned(B, 'q-0', 2)
          .polled(B, { 'q-0': [2, 3] }),
    ],
  },
  {
    anomaly: 'poll-skip',
    bad: [
      'the first poll begins behind the record where it was to begin',
      (s) =>
        readThree(three(s))
          .assigned(B, 'q-0', 0)
          .polled(B, { 'q-0': [1, 2] }),
    ],
    good: [
      'there is none between where it was to begin and what it reads',
      (s) =>
        s
          .sent(A, 'q-0', 1, 4)
          .assigned(B, 'q-0', 0)
          .polled(B, { 'q-0': [4, 1] })
          .assigned(UNCOMMITTED, 'q-0', 2)
          .polled(UNCOMMITTED, { 'q-0': [4, 1] }),
    ],
  },
  {
    anomaly: 'nonmonotonic-poll',
    bad: [
      'the first poll brings what lies below where it was to begin',
      (s) =>
        readThree(three(s))
          .assigned(B, 'q-0', 2)
          .polled(B, { 'q-0': [1, 2] }),
    ],
    good: [
      'it brings what lies there',
      (s) =>
        readThree(three(s))
          .assigned(B, 'q-0', 2)
          .polled(B, { 'q-0': [2, 3] }),
    ],
  },
  {
    anomaly: 'nonmonotonic-poll',
    bad: [
      'the next poll brings the same again',
      (s) =>
        readThree(three(s))
          .polled(B, { 'q-0': [0, 1] })
          .polled(B, { 'q-0': [0, 1] }),
    ],
    good: [
      'the transaction before was aborted, and its consumer went back',
      (s) =>
        readThree(three(s))
          .did(B, 'txn', 'fail', ['poll', { 'q-0': [0, 1] }])
          .did(B, 'txn', 'ok', ['poll', { 'q-0': [0, 1] }]),
    ],
  },
  {
    anomaly: 'subscribed-poll-skip',
    bad: [
      'the next poll of a member begins too far',
      (s) =>
        readThree(three(s))
          .did(M, 'subscribe', 'ok', ['subscribe', 'q'])
          .polled(M, { 'q-0': [0, 1] })
          .polled(M, { 'q-0': [2, 3] }),
    ],
    good: [
      'the partition was away in between',
      (s) =>
        readThree(three(s))
          .did(M, 'subscribe', 'ok', ['subscribe', 'q'])
          .polled(M, { 'q-0': [0, 1] })
          .rebalanced(M, 1, {}, 'q-0')
          .rebalanced(M, 2, { 'q-0': 2 })
          .polled(M, { 'q-0': [2, 3] }),
    ],
  },
  {
    anomaly: 'subscribed-nonmonotonic-poll',
    bad: [
      'the next poll of a member brings the same again',
      (s) =>
        readThree(three(s))
          .did(M, 'subscribe', 'ok', ['subscribe', 'q'])
          .polled(M, { 'q-0': [0, 1] })
          .polled(M, { 'q-0': [0, 1] }),
    ],
    good: [
      'it has subscribed anew in between',
      (s) =>
        readThree(three(s))
          .polled(M, { 'q-0': [0, 1] })
          .did(M, 'subscribe', 'ok', ['subscribe', 'q'])
          .polled(M, { 'q-0': [0, 1] }),
    ],
  },
  {
    anomaly: 'int-nonmonotonic-send',
    bad: [
      'what was sent at once lands in another order',
      (s) =>
        s.did(A, 'send', 'ok', ['send', 'q-0', 1, 1], ['send', 'q-0', 2, 0]).polled(FINAL, { 'q-0': [0, 2, 1, 1] }),
    ],
    good: [
      'by a producer without idempotence',
      (s) =>
        s
          .did(RETRYING, 'send', 'ok', ['send', 'q-0', 1, 1], ['send', 'q-0', 2, 0])
          .polled(FINAL, { 'q-0': [0, 2, 1, 1] }),
    ],
  },
  {
    anomaly: 'nonmonotonic-send',
    bad: [
      'a later send lands below an earlier one',
      (s) =>
        s
          .sent(RETRYING, 'q-0', 1, 1)
          .sent(RETRYING, 'q-0', 2, 0)
          .polled(FINAL, { 'q-0': [0, 2, 1, 1] }),
    ],
    good: [
      'that of another process does',
      (s) =>
        s
          .begin(B, 'send', ['send', 'q-0', 2])
          .sent(A, 'q-0', 1, 1)
          .end(B, 'ok', ['send', 'q-0', 2, 0])
          .polled(FINAL, { 'q-0': [0, 2, 1, 1] }),
    ],
  },
  {
    anomaly: 'nonmonotonic-send',
    bad: [
      'one was acknowledged before its producer gave up, and the next lies below it',
      (s) => {
        s.did(A, 'send', 'info', ['send', 'q-0', 1, 1], ['send', 'q-0', 2]);
        s.recorder.client({ p: 9, acks: 'all', idempotent: true, after: A });
        return s.sent(9, 'q-0', 3, 0).polled(FINAL, { 'q-0': [0, 3, 1, 1] });
      },
    ],
    good: [
      'a producer without idempotence writes once more, later',
      (s) =>
        s
          .sent(RETRYING, 'q-0', 1, 0)
          .sent(RETRYING, 'q-0', 2, 1)
          .polled(B, { 'q-0': [2, 1] })
          .polled(FINAL, { 'q-0': [0, 1, 1, 2, 2, 1] }),
    ],
  },
  {
    anomaly: 'nonmonotonic-send',
    bad: [
      'what a transaction of unknown outcome has sent is committed by the next one',
      (s) => {
        s.did(A, 'txn', 'info', ['send', 'q-0', 1]);
        s.recorder.client({ p: 9, acks: 'all', idempotent: true, after: A });
        return s.did(9, 'txn', 'ok', ['send', 'q-0', 2, 0]).polled(FINAL, { 'q-0': [0, 2, 1, 1] });
      },
    ],
    good: [
      'it was committed before, and never came to its end',
      (s) => {
        s.begin(A, 'txn', ['send', 'q-0', 1]);
        s.recorder.client({ p: 9, acks: 'all', idempotent: true, after: A });
        return s.did(9, 'txn', 'ok', ['send', 'q-0', 2, 2]).polled(FINAL, { 'q-0': [0, 1, 2, 2] });
      },
    ],
  },
  {
    anomaly: 'nonmonotonic-send-realtime',
    bad: [
      'what was sent when another was acknowledged lies below it',
      (s) =>
        s
          .sent(A, 'q-0', 1, 1)
          .sent(B, 'q-0', 2, 0)
          .polled(FINAL, { 'q-0': [0, 2, 1, 1] }),
    ],
    good: [
      'what was not acknowledged, or not at all to be, comes late',
      (s) => {
        s.recorder.client({ p: 9, acks: 0, idempotent: false });
        return s
          .did(A, 'send', 'info', ['send', 'q-0', 1])
          .did(9, 'send', 'ok', ['send', 'q-0', 2])
          .sent(B, 'q-0', 3, 0)
          .polled(FINAL, { 'q-0': [0, 3, 1, 1, 2, 2] });
      },
    ],
  },
  {
    anomaly: 'nonmonotonic-send-realtime',
    bad: [
      'it does so behind others that were sent before, one of them by the same client',
      (s) =>
        s
          .begin(C, 'send', ['send', 'q-0', 1])
          .sent(A, 'q-0', 4, 3)
          .sent(B, 'q-0', 2, 0)
          .sent(A, 'q-0', 5, 4)
          .end(C, 'ok', ['send', 'q-0', 1, 1])
          .polled(FINAL, { 'q-0': [0, 2, 1, 1, 3, 4, 4, 5] }),
    ],
    good: [
      'a producer without idempotence has written once more, later',
      (s) =>
        s
          .sent(RETRYING, 'q-0', 1, 0)
          .sent(B, 'q-0', 2, 1)
          .polled(FINAL, { 'q-0': [0, 1, 1, 2, 2, 1] }),
    ],
  },
  {
    anomaly: 'nonmonotonic-send',
    bad: [
      'it does behind one whose outcome is not known',
      (s) => {
        s.sent(A, 'q-0', 1, 1).did(A, 'send', 'info', ['send', 'q-0', 2]);
        s.recorder.client({ p: 9, acks: 'all', idempotent: true, after: A });
        return s.sent(9, 'q-0', 3, 0).polled(FINAL, { 'q-0': [0, 3, 1, 1] });
      },
    ],
    good: [
      'what has no known outcome comes late',
      (s) => {
        s.sent(A, 'q-0', 1, 0).did(A, 'send', 'info', ['send', 'q-0', 2]);
        s.recorder.client({ p: 9, acks: 'all', idempotent: true, after: A });
        return s.sent(9, 'q-0', 3, 1).polled(FINAL, { 'q-0': [0, 1, 1, 3, 2, 2] });
      },
    ],
  },
  {
    anomaly: 'int-send-skip',
    bad: [
      'a foreign value lies within a transaction',
      (s) =>
        s
          .begin(A, 'txn', ['send', 'q-0', 1], ['send', 'q-0', 3])
          .sent(B, 'q-0', 2, 1)
          .end(A, 'ok', ['send', 'q-0', 1, 0], ['send', 'q-0', 3, 2])
          .polled(FINAL, { 'q-0': [0, 1, 1, 2, 2, 3] }),
    ],
    good: [
      'it lies behind it',
      (s) =>
        s
          .begin(A, 'txn', ['send', 'q-0', 1], ['send', 'q-0', 3])
          .sent(B, 'q-0', 2, 2)
          .end(A, 'ok', ['send', 'q-0', 1, 0], ['send', 'q-0', 3, 1])
          .polled(FINAL, { 'q-0': [0, 1, 1, 3, 2, 2] }),
    ],
  },
  {
    anomaly: 'G1c-wr',
    bad: [
      'two transactions read of each other',
      (s) =>
        s
          .begin(A, 'txn', ['send', 'q-0', 1], ['poll'])
          .begin(B, 'txn', ['send', 'r-0', 2], ['poll'])
          .end(A, 'ok', ['send', 'q-0', 1, 0], ['poll', { 'r-0': [0, 2] }])
          .end(B, 'ok', ['send', 'r-0', 2, 0], ['poll', { 'q-0': [0, 1] }]),
    ],
    good: [
      'the second reads of the first, and a third of both',
      (s) =>
        s
          .begin(A, 'txn', ['send', 'q-0', 1], ['poll'])
          .begin(B, 'txn', ['send', 'r-0', 2], ['poll'])
          .end(A, 'ok', ['send', 'q-0', 1, 0], ['poll'])
          .end(B, 'ok', ['send', 'r-0', 2, 0], ['poll', { 'q-0': [0, 1] }])
          .did(C, 'txn', 'ok', ['poll', { 'q-0': [0, 1], 'r-0': [0, 2] }]),
    ],
  },
  {
    anomaly: 'G1c-wr',
    bad: [
      'of one of them nobody was told that it has committed',
      (s) =>
        s
          .begin(A, 'txn', ['send', 'q-0', 1], ['poll'])
          .begin(B, 'txn', ['send', 'r-0', 2], ['poll'])
          .end(A, 'info', ['send', 'q-0', 1, 0], ['poll', { 'r-0': [0, 2] }])
          .end(B, 'ok', ['send', 'r-0', 2, 0], ['poll', { 'q-0': [0, 1] }]),
    ],
    good: [
      'nobody has read what it has sent',
      (s) =>
        s
          .begin(A, 'txn', ['send', 'q-0', 1], ['poll'])
          .begin(B, 'txn', ['send', 'r-0', 2], ['poll'])
          .end(A, 'info', ['send', 'q-0', 1, 0], ['poll', { 'r-0': [0, 2] }])
          .end(B, 'ok', ['send', 'r-0', 2, 0], ['poll']),
    ],
  },
  {
    anomaly: 'G1c-wr-process',
    bad: ['a process reads what it sends next', (s) => s.polled(A, { 'q-0': [0, 1] }).sent(A, 'q-0', 1, 0)],
    good: ['it reads what it sent before', (s) => s.sent(A, 'q-0', 1, 0).polled(A, { 'q-0': [0, 1] })],
  },
  {
    anomaly: 'G1c-wr-realtime',
    bad: [
      'what a transaction wrote is read before something that it reads is sent: it was not committed then',
      (s) =>
        s
          .begin(A, 'txn', ['send', 'q-0', 1], ['poll'])
          .polled(C, { 'q-0': [0, 1] })
          .sent(B, 'r-0', 2, 0)
          .end(A, 'ok', ['send', 'q-0', 1, 0], ['poll', { 'r-0': [0, 2] }]),
    ],
    good: [
      'it is read by who reads what is uncommitted',
      (s) =>
        s
          .begin(A, 'txn', ['send', 'q-0', 1], ['poll'])
          .polled(UNCOMMITTED, { 'q-0': [0, 1] })
          .sent(B, 'r-0', 2, 0)
          .end(A, 'ok', ['send', 'q-0', 1, 0], ['poll', { 'r-0': [0, 2] }])
          .polled(C, { 'q-0': [0, 1] }),
    ],
  },
  {
    anomaly: 'G0',
    bad: [
      'two transactions precede each other in two keys',
      (s) =>
        s
          .begin(A, 'txn', ['send', 'q-0', 1], ['send', 'r-0', 2])
          .begin(B, 'txn', ['send', 'q-0', 3], ['send', 'r-0', 4])
          .end(A, 'ok', ['send', 'q-0', 1, 0], ['send', 'r-0', 2, 1])
          .end(B, 'ok', ['send', 'q-0', 3, 1], ['send', 'r-0', 4, 0])
          .polled(FINAL, { 'q-0': [0, 1, 1, 3], 'r-0': [0, 4, 1, 2] }),
    ],
    good: [
      'one precedes the other in both',
      (s) =>
        s
          .begin(A, 'txn', ['send', 'q-0', 1], ['send', 'r-0', 2])
          .begin(B, 'txn', ['send', 'q-0', 3], ['send', 'r-0', 4])
          .end(A, 'ok', ['send', 'q-0', 1, 0], ['send', 'r-0', 2, 0])
          .end(B, 'ok', ['send', 'q-0', 3, 1], ['send', 'r-0', 4, 1])
          .polled(FINAL, { 'q-0': [0, 1, 1, 3], 'r-0': [0, 2, 1, 4] }),
    ],
  },
  {
    anomaly: 'G0-process',
    bad: [
      'a transaction lies before one operation of a process in a key, and behind its next in another',
      (s) =>
        s
          .begin(A, 'txn', ['send', 'q-0', 1], ['send', 'r-0', 2])
          .sent(B, 'q-0', 3, 1)
          .sent(B, 'r-0', 4, 0)
          .end(A, 'ok', ['send', 'q-0', 1, 0], ['send', 'r-0', 2, 1])
          .polled(FINAL, { 'q-0': [0, 1, 1, 3], 'r-0': [0, 4, 1, 2] }),
    ],
    good: [
      'it lies behind both',
      (s) =>
        s
          .begin(A, 'txn', ['send', 'q-0', 1], ['send', 'r-0', 2])
          .sent(B, 'q-0', 3, 0)
          .sent(B, 'r-0', 4, 0)
          .end(A, 'ok', ['send', 'q-0', 1, 1], ['send', 'r-0', 2, 1])
          .polled(FINAL, { 'q-0': [0, 3, 1, 1], 'r-0': [0, 4, 1, 2] }),
    ],
  },
  {
    anomaly: 'G0-realtime',
    bad: [
      'a transaction lies between two that others sent one after the other, the wrong way round',
      (s) =>
        s
          .begin(A, 'txn', ['send', 'q-0', 1], ['send', 'r-0', 2])
          .sent(B, 'q-0', 3, 1)
          .sent(C, 'r-0', 4, 0)
          .end(A, 'ok', ['send', 'q-0', 1, 0], ['send', 'r-0', 2, 1])
          .polled(FINAL, { 'q-0': [0, 1, 1, 3], 'r-0': [0, 4, 1, 2] }),
    ],
    good: [
      'they were sent at the same time',
      (s) =>
        s
          .begin(A, 'txn', ['send', 'q-0', 1], ['send', 'r-0', 2])
          .begin(B, 'send', ['send', 'q-0', 3])
          .sent(C, 'r-0', 4, 0)
          .end(B, 'ok', ['send', 'q-0', 3, 1])
          .end(A, 'ok', ['send', 'q-0', 1, 0], ['send', 'r-0', 2, 1])
          .polled(FINAL, { 'q-0': [0, 1, 1, 3], 'r-0': [0, 4, 1, 2] }),
    ],
  },
  {
    anomaly: 'G1c',
    bad: [
      'a transaction reads of another, and lies before it in a key',
      (s) =>
        s
          .begin(A, 'txn', ['send', 'q-0', 1], ['poll'])
          .did(B, 'txn', 'ok', ['send', 'q-0', 2, 1], ['send', 'r-0', 3, 0])
          .end(A, 'ok', ['send', 'q-0', 1, 0], ['poll', { 'r-0': [0, 3] }])
          .polled(FINAL, { 'q-0': [0, 1, 1, 2] }),
    ],
    good: [
      'it lies behind it',
      (s) =>
        s
          .begin(A, 'txn', ['send', 'q-0', 1], ['poll'])
          .did(B, 'txn', 'ok', ['send', 'q-0', 2, 0], ['send', 'r-0', 3, 0])
          .end(A, 'ok', ['send', 'q-0', 1, 2], ['poll', { 'r-0': [0, 3] }])
          .polled(FINAL, { 'q-0': [0, 2, 2, 1] }),
    ],
  },
  {
    anomaly: 'G1c-process',
    bad: [
      'a transaction lies before an operation of a process in a key, and reads of its next',
      (s) =>
        s
          .begin(A, 'txn', ['send', 'q-0', 1], ['poll'])
          .sent(B, 'q-0', 2, 1)
          .sent(B, 'r-0', 3, 0)
          .end(A, 'ok', ['send', 'q-0', 1, 0], ['poll', { 'r-0': [0, 3] }])
          .polled(FINAL, { 'q-0': [0, 1, 1, 2] }),
    ],
    good: [
      'it lies behind it',
      (s) =>
        s
          .begin(A, 'txn', ['send', 'q-0', 1], ['poll'])
          .sent(B, 'q-0', 2, 0)
          .sent(B, 'r-0', 3, 0)
          .end(A, 'ok', ['send', 'q-0', 1, 1], ['poll', { 'r-0': [0, 3] }])
          .polled(FINAL, { 'q-0': [0, 2, 1, 1] }),
    ],
  },
  {
    anomaly: 'G1c-realtime',
    bad: [
      'a transaction lies before an operation in a key, and reads of one that began when that had ended',
      (s) =>
        s
          .begin(A, 'txn', ['send', 'q-0', 1], ['poll'])
          .sent(B, 'q-0', 2, 1)
          .sent(C, 'r-0', 3, 0)
          .end(A, 'ok', ['send', 'q-0', 1, 0], ['poll', { 'r-0': [0, 3] }])
          .polled(FINAL, { 'q-0': [0, 1, 1, 2] }),
    ],
    good: [
      'that had not ended',
      (s) =>
        s
          .begin(A, 'txn', ['send', 'q-0', 1], ['poll'])
          .begin(B, 'send', ['send', 'q-0', 2])
          .sent(C, 'r-0', 3, 0)
          .end(B, 'ok', ['send', 'q-0', 2, 1])
          .end(A, 'ok', ['send', 'q-0', 1, 0], ['poll', { 'r-0': [0, 3] }])
          .polled(FINAL, { 'q-0': [0, 1, 1, 2] }),
    ],
  },
  {
    anomaly: 'G-single',
    bad: [
      'one poll brings one write of a transaction, and not yet the other',
      (s) =>
        s
          .sent(A, 'q-0', 1, 0)
          .did(B, 'txn', 'ok', ['send', 'q-0', 2, 1], ['send', 'r-0', 3, 0])
          .polled(C, { 'q-0': [0, 1], 'r-0': [0, 3] })
          .polled(C, { 'q-0': [1, 2] }),
    ],
    good: [
      'it brings both',
      (s) =>
        s
          .sent(A, 'q-0', 1, 0)
          .did(B, 'txn', 'ok', ['send', 'q-0', 2, 1], ['send', 'r-0', 3, 0])
          .polled(C, { 'q-0': [0, 1, 1, 2], 'r-0': [0, 3] }),
    ],
  },
  {
    anomaly: 'G2',
    bad: [
      'two transactions each read a key before the other writes to it (write skew)',
      (s) =>
        s
          .sent(C, 'q-0', 1, 0)
          .sent(C, 'r-0', 2, 0)
          .begin(A, 'txn', ['poll'], ['send', 'r-0', 4])
          .begin(B, 'txn', ['poll'], ['send', 'q-0', 3])
          .end(A, 'ok', ['poll', { 'q-0': [0, 1] }], ['send', 'r-0', 4, 1])
          .end(B, 'ok', ['poll', { 'r-0': [0, 2] }], ['send', 'q-0', 3, 1])
          .polled(FINAL, { 'q-0': [0, 1, 1, 3], 'r-0': [0, 2, 1, 4] }),
    ],
    good: [
      'the second has read what the first wrote',
      (s) =>
        s
          .sent(C, 'q-0', 1, 0)
          .sent(C, 'r-0', 2, 0)
          .begin(A, 'txn', ['poll'], ['send', 'r-0', 4])
          .begin(B, 'txn', ['poll'], ['send', 'q-0', 3])
          .end(A, 'ok', ['poll', { 'q-0': [0, 1] }], ['send', 'r-0', 4, 1])
          .end(B, 'ok', ['poll', { 'r-0': [0, 2, 1, 4] }], ['send', 'q-0', 3, 1])
          .polled(FINAL, { 'q-0': [0, 1, 1, 3], 'r-0': [0, 2, 1, 4] }),
    ],
  },
  {
    anomaly: 'double-consume',
    bad: [
      'two committed transactions have read and committed one record',
      (s) =>
        readCopies(
          copySecond(copyFirst(input(s)).did(N, 'txn', 'ok', ['poll', { 'in-0': [0, 1] }], ['commit', 'in-0', 1])),
        ),
    ],
    good: [
      'the first of them was aborted',
      (s) =>
        readCopies(
          copySecond(copyFirst(input(s).did(N, 'txn', 'fail', ['poll', { 'in-0': [0, 1] }], ['commit', 'in-0', 1]))),
        ),
    ],
  },
  {
    anomaly: 'unconsumed',
    bad: [
      'an offset is committed beyond a record that no committed transaction has read',
      (s) =>
        readCopies(copyFirst(input(s)).did(M, 'txn', 'ok', ['copy', 'out-0', 12, 'in-0', 1, 2], ['commit', 'in-0', 2])),
    ],
    good: ['each has been read', (s) => readCopies(copySecond(copyFirst(input(s))))],
  },
  {
    anomaly: 'double-copy',
    bad: [
      'one record has two copies',
      (s) =>
        copySecond(copyFirst(input(s)))
          .did(N, 'txn', 'ok', ['copy', 'out-0', 13, 'in-0', 1, 4])
          .polled(FINAL, { 'in-0': [0, 1, 1, 2], 'out-0': [0, 11, 2, 12, 4, 13] }),
    ],
    good: [
      'the second was aborted',
      (s) => readCopies(copySecond(copyFirst(input(s))).did(N, 'txn', 'fail', ['copy', 'out-0', 13, 'in-0', 1, 4])),
    ],
  },
  {
    anomaly: 'uncopied',
    bad: [
      'a record is consumed, and not copied',
      (s) =>
        copyFirst(input(s))
          .did(M, 'txn', 'ok', ['poll', { 'in-0': [1, 2] }], ['commit', 'in-0', 2])
          .polled(FINAL, { 'in-0': [0, 1, 1, 2], 'out-0': [0, 11] }),
    ],
    good: [
      'it is copied by a transaction whose outcome was not known, and read',
      (s) =>
        readCopies(
          copyFirst(input(s)).did(
            N,
            'txn',
            'info',
            ['poll', { 'in-0': [1, 2] }],
            ['copy', 'out-0', 12, 'in-0', 1],
            ['commit', 'in-0', 2],
          ),
        ),
    ],
  },
  {
    anomaly: 'two-owners',
    bad: [
      'a partition has two owners in one generation',
      (s) => s.rebalanced(M, 3, { 'q-0': 0 }).rebalanced(N, 3, { 'q-0': 0 }),
    ],
    good: [
      'the second is its owner in the next',
      (s) => s.rebalanced(M, 3, { 'q-0': 0 }).rebalanced(N, 4, { 'q-0': 0 }),
    ],
  },
  {
    anomaly: 'two-owners',
    bad: [
      'one kept it into the generation in which the other got it',
      (s) =>
        s.rebalanced(M, 3, { 'q-0': 0, 'q-1': 0 }).rebalanced(M, 4, { 'q-2': 0 }, 'q-1').rebalanced(N, 4, { 'q-0': 0 }),
    ],
    good: [
      'the other got the one that was given up',
      (s) =>
        s.rebalanced(M, 3, { 'q-0': 0, 'q-1': 0 }).rebalanced(M, 4, { 'q-2': 0 }, 'q-1').rebalanced(N, 4, { 'q-1': 0 }),
    ],
  },
  {
    anomaly: 'stale-commit',
    bad: [
      'a commit is accepted that was sent in a generation that was over',
      (s) => s.rebalanced(M, 3, { 'q-0': 0 }).rebalanced(N, 4, { 'q-0': 0 }).committed(M, 3, 'ok', 'q-0', 5),
    ],
    good: [
      'it is refused',
      (s) => s.rebalanced(M, 3, { 'q-0': 0 }).rebalanced(N, 4, { 'q-0': 0 }).committed(M, 3, 'fail', 'q-0', 5),
    ],
  },
  {
    anomaly: 'lost-commit',
    bad: [
      'an older offset is found',
      (s) =>
        s
          .committed(M, 3, 'ok', 'q-0', 5)
          .committed(M, 3, 'ok', 'q-0', 7)
          .did(N, 'committed', 'ok', ['committed', 'q-0', 5]),
    ],
    good: [
      'an older offset is found, while the newer is on its way',
      (s) =>
        s
          .committed(M, 3, 'ok', 'q-0', 5)
          .begin(M, 'commit', ['commit', 'q-0', 7])
          .did(N, 'committed', 'ok', ['committed', 'q-0', 5])
          .end(M, 'ok', ['commit', 'q-0', 7]),
    ],
  },
  {
    anomaly: 'lost-commit',
    bad: [
      'who is assigned the partition begins before it',
      (s) =>
        s.committed(M, 3, 'ok', 'q-0', 5).did(N, 'subscribe', 'ok', ['subscribe', 'q']).rebalanced(N, 4, { 'q-0': 0 }),
    ],
    good: [
      'it begins at one that was committed without an answer',
      (s) =>
        s
          .committed(M, 3, 'ok', 'q-0', 5)
          .committed(M, 3, 'info', 'q-0', 6)
          .did(N, 'subscribe', 'ok', ['subscribe', 'q'])
          .rebalanced(N, 4, { 'q-0': 6 }),
    ],
  },
  {
    anomaly: 'lost-commit',
    bad: [
      'one whose outcome nobody was told is found, and then the one before',
      (s) =>
        s
          .committed(M, 3, 'ok', 'q-0', 5)
          .did(M, 'txn', 'info', ['commit', 'q-0', 7])
          .did(N, 'committed', 'ok', ['committed', 'q-0', 7])
          .did(N, 'committed', 'ok', ['committed', 'q-0', 5]),
    ],
    good: [
      'another has been committed meanwhile, with the same offset as before',
      (s) =>
        s
          .committed(M, 3, 'ok', 'q-0', 5)
          .did(M, 'txn', 'info', ['commit', 'q-0', 7])
          .did(N, 'committed', 'ok', ['committed', 'q-0', 7])
          .committed(N, 3, 'ok', 'q-0', 5)
          .did(N, 'committed', 'ok', ['committed', 'q-0', 5]),
    ],
  },
  {
    anomaly: 'lost-commit',
    bad: [
      'one of two of the same offset is acknowledged, and then nothing is found',
      (s) => {
        s.recorder.client({ p: 9, isolation: 'read_committed', group: 'group', protocol: 'classic', after: M });
        return s
          .committed(M, 3, 'info', 'q-0', 5)
          .committed(9, 3, 'ok', 'q-0', 5)
          .did(N, 'committed', 'ok', ['committed', 'q-0', null]);
      },
    ],
    good: [
      'it is not known which of the two was found, and the other may have come last',
      (s) => {
        s.recorder.client({ p: 9, isolation: 'read_committed', group: 'group', protocol: 'classic', after: M });
        return s
          .committed(M, 3, 'info', 'q-0', 5)
          .committed(9, 3, 'info', 'q-0', 5)
          .did(N, 'committed', 'ok', ['committed', 'q-0', 5])
          .committed(N, 3, 'ok', 'q-0', 7)
          .did(N, 'committed', 'ok', ['committed', 'q-0', 5]);
      },
    ],
  },
  {
    anomaly: 'lost-commit',
    bad: [
      'nothing is found',
      (s) => s.committed(M, 3, 'ok', 'q-0', 5).did(N, 'committed', 'ok', ['committed', 'q-0', null]),
    ],
    good: [
      'nothing had been acknowledged',
      (s) => s.committed(M, 3, 'fail', 'q-0', 5).did(N, 'committed', 'ok', ['committed', 'q-0', null]),
    ],
  },
  {
    anomaly: 'phantom-commit',
    bad: ['an offset is found that nobody has committed', (s) => s.did(N, 'committed', 'ok', ['committed', 'q-0', 5])],
    good: [
      'its commit is on its way',
      (s) => s.begin(M, 'commit', ['commit', 'q-0', 5]).did(N, 'committed', 'ok', ['committed', 'q-0', 5]),
    ],
  },
  {
    anomaly: 'phantom-commit',
    bad: [
      'an offset of an aborted transaction is found',
      (s) => s.did(M, 'txn', 'fail', ['commit', 'q-0', 5]).did(N, 'committed', 'ok', ['committed', 'q-0', 5]),
    ],
    good: [
      'what came of the transaction is not known',
      (s) => s.did(M, 'txn', 'info', ['commit', 'q-0', 5]).did(N, 'committed', 'ok', ['committed', 'q-0', 5]),
    ],
  },
  {
    anomaly: 'group-skip',
    bad: [
      'the group commits beyond a record that none of its members was given',
      (s) =>
        readThree(three(s))
          .polled(M, { 'q-0': [0, 1] })
          .polled(N, { 'q-0': [2, 3] })
          .committed(N, 3, 'ok', 'q-0', 3),
    ],
    good: [
      'another member was given it, and what lies before the first that the group was given is not its own',
      (s) =>
        readThree(three(s))
          .polled(M, { 'q-0': [1, 2] })
          .polled(N, { 'q-0': [2, 3] })
          .committed(N, 3, 'ok', 'q-0', 3),
    ],
  },
  {
    anomaly: 'group-skip',
    bad: [
      'a group that resets to the earliest begins behind the first record',
      (s) => withoutFirst(s).committed(9, 3, 'ok', 'q-0', 3),
    ],
    good: ['it has not committed that far', (s) => withoutFirst(s).committed(9, 3, 'fail', 'q-0', 3)],
  },
];

/** What a story shows that fails it; of what fails nothing only the anomaly in question. */
function shown(story: Story, anomaly: Anomaly): readonly Anomaly[] {
  const { anomalies, failed } = story(new Scenario()).verdict();
  const found = [...anomalies.keys()].filter((kind) => kind === anomaly || ANOMALIES[kind] === 'fails');
  expect(failed).toBe(found.some((kind) => ANOMALIES[kind] === 'fails'));
  return found;
}

describe.each(CASES)('$anomaly', ({ anomaly, bad, good }) => {
  test(`is found, and nothing else that fails: ${bad[0]}`, () => {
    expect(shown(bad[1], anomaly)).toEqual([anomaly]);
  });

  test(`is not found, nor anything that fails: ${good[0]}`, () => {
    expect(shown(good[1], anomaly)).toEqual([]);
  });
});

test('every anomaly has a bad and a good history here', () => {
  expect(new Set(CASES.map(({ anomaly }) => anomaly))).toEqual(new Set(Object.keys(ANOMALIES)));
});
