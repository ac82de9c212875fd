import { defineConfig } from 'vitest/config';

const minute = 60_000;

/**
 * unit and sim touch no real port but loopback and need nothing installed; the others run the built package (`make build`)
 * from outside, one file at a time, because they measure time limits and share two cores with the clients they start.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts', 'jepsen-like/history/**/*.test.ts'],
          setupFiles: ['test/support/hermetic-environment.ts'],
          exclude: ['test/sim/**', 'test/compat/**', 'test/cluster/**', 'test/pack/**'],
          // No test waits for real time: a busy machine is no reason to fail.
          testTimeout: minute,
        },
      },
      { test: { name: 'sim', include: ['test/sim/**/*.test.ts'], testTimeout: minute } },
      {
        test: {
          name: 'compat',
          include: ['test/compat/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 2 * minute,
          hookTimeout: 5 * minute,
        },
      },
      {
        test: {
          name: 'cluster',
          include: ['test/cluster/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 2 * minute,
        },
      },
      {
        test: {
          name: 'crash',
          include: ['jepsen-like/**/*.test.ts'],
          exclude: ['jepsen-like/history/**'],
          fileParallelism: false,
          testTimeout: 10 * minute,
          hookTimeout: 5 * minute,
        },
      },
      {
        test: {
          name: 'pack',
          include: ['test/pack/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 2 * minute,
          hookTimeout: 5 * minute,
        },
      },
    ],
  },
});
