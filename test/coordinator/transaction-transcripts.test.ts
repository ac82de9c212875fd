import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ScriptedTransactions } from './scripted-transactions.ts';

const FOLDER = new URL('./transaction-transcripts/', import.meta.url);

for (const file of readdirSync(FOLDER)
  .filter((name) => name.endsWith('.txt'))
  .sort()) {
  describe(file.replace('.txt', ''), () => {
    for (const written of readFileSync(new URL(file, FOLDER), 'utf8').split(/\n(?=# )/)) {
      const [heading = '', ...lines] = written.trimEnd().split('\n');
      test(heading.replace(/^# /, ''), () => {
        const shard = new ScriptedTransactions();
        const commands = lines.filter((line) => line !== '' && !line.startsWith(' '));
        expect(commands.length).toBeGreaterThan(0);
        const spoken = commands.flatMap((command) => [command, ...shard.run(command)]);
        expect(spoken.join('\n')).toBe(lines.filter((line) => line !== '').join('\n'));
      });
    }
  });
}
