// npm test: set-up, all checks, all suites. With arguments (a file, -t NAME) only vitest, with these.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runChecks } from './check.mjs';
import { ensureSetup } from './setup.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const args = process.argv.slice(2);

/** Counts of one vitest run. A file that could not be loaded has no tests to fail, and counts as one failure. */
function count(reportFile, status) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  if (existsSync(reportFile)) {
    const report = JSON.parse(readFileSync(reportFile, 'utf8'));
    counts.passed = report.numPassedTests;
    counts.failed = report.numFailedTests;
    counts.skipped = report.numPendingTests + report.numTodoTests;
    const unloaded = report.testResults.filter(
      (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
    );
    counts.failed += unloaded.length;
  }
  // As an error outside of every test, or a report that was never written.
  if (status !== 0 && counts.failed === 0) counts.failed = 1;
  return counts;
}

function runTests() {
  const reportFile = join(root, `.cache/test-report-${process.pid}.json`);
  mkdirSync(join(root, '.cache'), { recursive: true });
  const { status } = spawnSync(
    process.execPath,
    [
      join(root, 'node_modules/vitest/vitest.mjs'),
      ...['run', '--config', 'tests/vitest.config.ts', '--reporter=default', '--reporter=json'],
      ...[`--outputFile.json=${reportFile}`, ...args],
    ],
    { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] },
  );
  const counts = count(reportFile, status);
  rmSync(reportFile, { force: true });
  return counts;
}

function finish({ passed, failed, skipped }, testsRun) {
  if (testsRun === 0) console.log('test: no test ran; check the file names and filters given');
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  process.exitCode = failed > 0 || testsRun === 0 ? 1 : 0;
}

if (!(await ensureSetup())) {
  finish({ passed: 0, failed: 1, skipped: 0 }, 1);
} else {
  const checks = args.length > 0 ? [] : runChecks();
  const tests = runTests();
  const good = checks.filter((step) => step.ok).length;
  const total = { ...tests, passed: tests.passed + good, failed: tests.failed + checks.length - good };
  finish(total, tests.passed + tests.failed);
}
