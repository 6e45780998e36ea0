import { afterAll, beforeAll, describe } from 'vitest';
import { listsSuite } from './lists.suite.ts';
import { projectionSuite } from './projection.suite.ts';
import { memoryProjectionBed, postgresProjectionBed, type PostgresBed, type ProjectionBed } from './projectionbed.ts';
import { quarantineSuite } from './quarantine.suite.ts';
import { schedulesSuite } from './schedules.suite.ts';
import { taskEventsSuite } from './taskevents.suite.ts';

function suites(bed: () => ProjectionBed): void {
  // Lists first: the others add tasks and agents of their own.
  listsSuite(bed);
  schedulesSuite(bed);
  projectionSuite(bed);
  taskEventsSuite(bed);
}

describe('memory', () => {
  let bed: ProjectionBed;
  beforeAll(async () => {
    bed = await memoryProjectionBed();
  });
  suites(() => bed);
});

describe('postgres', () => {
  let bed: PostgresBed;
  beforeAll(async () => {
    bed = await postgresProjectionBed();
  });
  afterAll(() => bed.close());
  suites(() => bed);
  quarantineSuite(() => bed);
});
