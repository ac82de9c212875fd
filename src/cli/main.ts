#!/usr/bin/env node
/** The bin. What must be set before the first file is read from the pool is set here, then the rest is loaded. */
import { enableCompileCache } from 'node:module';
import { POOL_THREADS } from './pool-threads.ts';

process.env.UV_THREADPOOL_SIZE ??= String(POOL_THREADS);
enableCompileCache();
const { run } = await import('./run.ts');
await run(process.argv.slice(2));
