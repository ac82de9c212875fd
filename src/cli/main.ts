#!/usr/bin/env node
/**
 * The bin. What must be set before the first file is read from the pool is set here, then the rest is loaded. An older Node reads this
 * file too: it takes nothing by name that such a Node lacks, so that it comes to say which one is needed.
 */
import nodeModule from 'node:module';
import { USAGE } from './exit-status.ts';
import { POOL_THREADS } from './pool-threads.ts';

/** As `engines` of package.json has it, which npm only warns of. */
const NODE_MAJOR_MIN = 24;

if (Number.parseInt(process.versions.node, 10) < NODE_MAJOR_MIN) {
  process.stderr.write(
    `odradek: Node ${NODE_MAJOR_MIN} or newer is needed, and ${process.execPath} is ${process.versions.node}\n`,
  );
  process.exit(USAGE);
}
process.env.UV_THREADPOOL_SIZE ??= String(POOL_THREADS);
nodeModule.enableCompileCache();
const { run } = await import('./run.ts');
await run(process.argv.slice(2));
