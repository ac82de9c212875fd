import type { CommandOf, OperationName, ResponseOf } from '#metadata/controller';
import { type Fault, fault } from '#metadata/decision';
import { ErrorCode } from '#model/errors';
import type { Broker } from '#runtime/broker';
import type { Submitted } from '#runtime/controller-link';

/**
 * The controller's response, once its records are committed and in effect here; a Fault if it cannot be had within `timeoutMs`. After
 * REQUEST_TIMED_OUT the command may still be carried out, as in Kafka.
 */
export function askController<Name extends OperationName>(
  broker: Pick<Broker, 'controller' | 'deadlines' | 'fail'>,
  operation: Name,
  command: CommandOf<Name>,
  timeoutMs: number,
): Promise<ResponseOf<Name> | Fault> {
  return new Promise((resolve) => {
    const deadline = broker.deadlines.after(Math.max(0, timeoutMs), () => {
      resolve(fault(ErrorCode.RequestTimedOut, 'The request timed out.'));
    });
    broker.controller.submit(operation, command, timeoutMs).then(
      (answer: Submitted<Name>) => {
        broker.deadlines.cancel(deadline);
        resolve(refusal(answer) ?? (answer as ResponseOf<Name>));
      },
      (error: unknown) => broker.fail(error),
    );
  });
}

function refusal(answer: object | string): Fault | undefined {
  switch (answer) {
    case 'busy':
      return fault(ErrorCode.RequestTimedOut, 'The controller has too much to do.');
    case 'stopped':
      return fault(ErrorCode.RequestTimedOut, 'This node is stopping.');
    case 'timeout':
      return fault(ErrorCode.RequestTimedOut, 'No controller has answered in time.');
    case 'full':
      return fault(ErrorCode.KafkaStorageError, "The controller's disk is full.");
    case 'tooLarge':
      return fault(ErrorCode.PolicyViolation, 'So much is not changed at once: ask for less at a time.');
    default:
      return undefined;
  }
}
