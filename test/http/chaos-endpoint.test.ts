import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { NodeFaults } from '#faults/node-faults';
import { ChaosEndpoint } from '#http/chaos-endpoint';
import { HttpServer } from '#http/http-server';
import type { Node } from '#node/node';
import { NodeClock } from '#platform/node-clock';
import { NodeNetwork } from '#platform/node-network';

const TOKEN = 'a-secret';
const NODES = [1, 2].map((id) => ({ id, clientPort: id, nodePorts: [10 + id] }));
const METRICS = { contentType: 'text/plain', slices: async function* () {} };
const CUT = { kind: 'cut', way: 'both' };

describe('the endpoint for faults', () => {
  let faults: NodeFaults;
  let http: HttpServer;

  beforeEach(async () => {
    faults = new NodeFaults({ clock: new NodeClock(), network: new NodeNetwork(), disks: [] }, 1, NODES);
    const endpoint = new ChaosEndpoint(faults, TOKEN);
    http = await HttpServer.open({ host: '127.0.0.1', port: 0 }, {} as Node, METRICS, endpoint);
  });
  afterEach(() => http.close());

  async function ask(method: string, body?: string, token = TOKEN): Promise<readonly [number, unknown]> {
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(`http://127.0.0.1:${http.at.port}/chaos`, { method, headers, ...(body && { body }) });
    const text = await answer.text();
    return [answer.status, answer.ok ? JSON.parse(text) : text];
  }

  test('shows, sets and heals', async () => {
    expect(await ask('GET')).toEqual([200, { lines: {}, diskFull: false }]);
    const set = { lines: { 2: CUT, clients: { kind: 'delay', ms: 5 } }, diskFull: true };
    expect(await ask('POST', JSON.stringify(set))).toEqual([200, set]);
    expect(await ask('POST', '{"lines":{"clients":null}}')).toEqual([200, { lines: { 2: CUT }, diskFull: true }]);
    expect(await ask('GET')).toEqual([200, { lines: { 2: CUT }, diskFull: true }]);
    expect(await ask('DELETE')).toEqual([200, { lines: {}, diskFull: false }]);
  });

  test.each(['', 'a-secreT', 'a-secret2', 'another'])('obeys nobody with the token "%s"', async (token) => {
    for (const method of ['GET', 'POST', 'DELETE', 'PUT']) {
      expect(await ask(method, method === 'GET' ? undefined : '{"diskFull":true}', token)).toEqual([
        403,
        'the token is another one\n',
      ]);
    }
    expect(faults.isDiskFull).toBe(false);
  });

  test('obeys nobody without a token', async () => {
    const answer = await fetch(`http://127.0.0.1:${http.at.port}/chaos`, { method: 'DELETE' });
    expect(answer.status).toBe(403);
  });

  test.each(['10.0.0.7', '::ffff:10.0.0.7', '1271.0.0.1', undefined])('obeys nobody at %s', (remoteAddress) => {
    const headers = { authorization: `Bearer ${TOKEN}` };
    let answered: unknown;
    const response = {
      writeHead: (status: number) => {
        answered = status;
      },
      end: () => {},
    };
    const request = { method: 'DELETE', headers, socket: { remoteAddress } };
    new ChaosEndpoint(faults, TOKEN).handle(
      request as unknown as IncomingMessage,
      response as unknown as ServerResponse,
    );
    expect(answered).toBe(403);
  });

  test.each([
    ['{"diskFull"', 400, /^not JSON: /],
    ['{"disk":true}', 400, /^orders have lines and diskFull, not disk\n$/],
    ['{"lines":{"9":null}}', 400, /^there is no line to node 9\n$/],
    [' '.repeat(16 * 1024 + 1), 413, /^orders are at most 16384 bytes\n$/],
  ])('refuses a body like %.20j', async (body, status, sentence) => {
    const [answered, text] = await ask('POST', body);
    expect(answered).toBe(status);
    expect(text).toMatch(sentence);
  });

  test('answers 405 to what is not asked for', async () => {
    expect(await ask('PUT', '{}')).toEqual([405, 'GET, POST and DELETE are served\n']);
  });

  test('is not there without it', async () => {
    const plain = await HttpServer.open({ host: '127.0.0.1', port: 0 }, {} as Node, METRICS);
    const answer = await fetch(`http://127.0.0.1:${plain.at.port}/chaos`);
    expect(answer.status).toBe(404);
    await plain.close();
  });
});
