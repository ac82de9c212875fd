/**
 * `hears.ts OWN_ADDRESS ADDRESS …`: sends to all of these again and again, by UDP, which needs no answer. At a line of standard input it
 * tells, as JSON on one line, whom it has heard since the line before.
 */
import { createSocket } from 'node:dgram';
import { createInterface } from 'node:readline';

const PORT = 9_999;
const EVERY_MS = 5;

const [own = '', ...others] = process.argv.slice(2);
const heard = new Set<string>();
const socket = createSocket('udp4').on('message', (_, { address }) => heard.add(address));
socket.bind(PORT, own, () => {
  setInterval(() => {
    for (const other of others) socket.send('here', PORT, other, () => undefined);
  }, EVERY_MS);
});
createInterface({ input: process.stdin })
  .on('line', () => {
    console.log(JSON.stringify([...heard].sort()));
    heard.clear();
  })
  .on('close', () => process.exit(0));
