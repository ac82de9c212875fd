import { connect } from 'node:net';
import { until } from './process.ts';

/**
 * Resolves when the broker on this loopback port answers a Metadata request with at least one broker: from then on a
 * client can work. Asks anew every 10 ms at most.
 */
export async function answersMetadata(port: number, timeoutMs: number): Promise<void> {
  await until(`a metadata answer from port ${port}`, timeoutMs, async () =>
    (await metadataBrokerCount(port)) > 0 ? true : undefined,
  );
}

/** Metadata v1, no topics (an empty array), from client 'probe'; the answer's header is v0. */
function metadataRequest(): Buffer {
  const clientId = Buffer.from('probe');
  const request = Buffer.alloc(4 + 2 + 2 + 4 + 2 + clientId.length + 4);
  let at = request.writeInt32BE(request.length - 4, 0);
  at = request.writeInt16BE(3, at);
  at = request.writeInt16BE(1, at);
  at = request.writeInt32BE(1, at);
  at = request.writeInt16BE(clientId.length, at);
  at += clientId.copy(request, at);
  request.writeInt32BE(0, at);
  return request;
}

/** How many brokers a Metadata answer names; 0 while nobody answers. */
export function metadataBrokerCount(port: number): Promise<number> {
  const answerTimeoutMs = 1000;
  const brokersAt = 8; // behind the size and the correlation id
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let answer = Buffer.alloc(0);
    const settle = (count: number): void => {
      socket.destroy();
      resolve(count);
    };
    socket.setTimeout(answerTimeoutMs, () => settle(0));
    socket.on('error', () => settle(0));
    socket.on('close', () => settle(0));
    socket.on('connect', () => socket.write(metadataRequest()));
    socket.on('data', (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk]);
      if (answer.length >= brokersAt + 4) settle(answer.readInt32BE(brokersAt));
    });
  });
}
