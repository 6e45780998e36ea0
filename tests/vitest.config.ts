import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: {
    include: ['tests/**/*.test.ts'],
    exclude: ['tests/bench/**'],
    globalSetup: ['tests/support/global-setup.ts'],
    // A shared machine stands still for seconds; nothing is measured by these, only what never comes is given up.
    testTimeout: 60_000,
    expect: { poll: { timeout: 30_000 } },
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
    // Servers of a test die with the process that started them: threads share one process, forks do not.
    pool: 'forks',
    maxWorkers: 2,
    fileParallelism: true,
  },
});
