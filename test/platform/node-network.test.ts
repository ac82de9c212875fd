import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { Connection } from '#base/ports';
import { NodeConnection } from '#platform/node-connection';
import { NodeNetwork } from '#platform/node-network';
import { describeNetwork, Recorder } from './network-contract.ts';

const ANY = { host: '127.0.0.1', port: 0 };

describeNetwork('NodeNetwork', async () => ({
  near: new NodeNetwork(),
  far: new NodeNetwork(),
  at: ANY,
  settle: (promise) => promise,
  // Loopback: what is to arrive has arrived after a few turns of the loop that polls it.
  quiet: async () => {
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  },
}));

describe('reading', () => {
  it("goes straight into the receiver's buffers, on both sides", async () => {
    const accepted = Promise.withResolvers<Connection>();
    const opened = Promise.withResolvers<Connection>();
    const listener = await new NodeNetwork().listen(ANY, (connection) => {
      accepted.resolve(connection);
      return new Recorder(connection);
    });
    new NodeNetwork().connect(listener.at, (connection) => {
      opened.resolve(connection);
      return new Recorder(connection);
    });
    for (const connection of [await accepted.promise, await opened.promise]) {
      expect(connection).toBeInstanceOf(NodeConnection);
      expect((connection as NodeConnection).readsByCopy).toBe(false);
    }
    (await opened.promise).reset();
    await listener.close();
  });

  it('falls back to copies where the socket takes no buffers', async () => {
    const received = Promise.withResolvers<Recorder>();
    const listener = await new NodeNetwork().listen(ANY, (connection) => {
      const recorder = new Recorder(connection);
      recorder.when(() => recorder.receivedBytes > 0).then(() => connection.send([Buffer.alloc(300_000, 'x')]));
      return recorder;
    });
    const connection = new NodeConnection(
      listener.at,
      new Uint8Array(10),
      () => connect(listener.at.port, listener.at.host),
      (opened) => {
        opened.send([Buffer.from('go')]);
        const recorder = new Recorder(opened, 1000);
        recorder.when(() => recorder.receivedBytes === 300_000).then(() => received.resolve(recorder));
        return recorder;
      },
    );
    expect(connection.readsByCopy).toBe(true);
    expect((await received.promise).text).toBe('x'.repeat(300_000));
    connection.reset();
    await listener.close();
  });
});

describe('listen', () => {
  it('rejects with an IoError for an address that is not ours', async () => {
    const elsewhere = { host: '192.0.2.1', port: 0 };
    const listening = new NodeNetwork().listen(elsewhere, (connection) => new Recorder(connection));
    await expect(listening).rejects.toMatchObject({ code: 'EIO', cause: { code: 'EADDRNOTAVAIL' } });
  });
});
