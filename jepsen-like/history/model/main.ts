/** `node jepsen-like/history/model/main.ts FILE OPERATIONS`: the history of a model of about so many operations, to measure the checker by. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { assert } from '#base/assert';
import { recordModel } from './model.ts';

const STEPS_OF_OPERATION = 3.7;
const CHUNK_LENGTH = 1 << 20;

const [file, operations] = process.argv.slice(2);
assert(file !== undefined && Number(operations) > 0, 'usage: node jepsen-like/history/model/main.ts FILE OPERATIONS');
const fd = openSync(file, 'w');
let chunk = '';
recordModel('measure', Number(operations) * STEPS_OF_OPERATION, (line) => {
  chunk += line;
  if (chunk.length < CHUNK_LENGTH) return;
  writeSync(fd, chunk);
  chunk = '';
});
writeSync(fd, chunk);
closeSync(fd);
