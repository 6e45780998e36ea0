/** The limits fit together, and each of them is kept to by somebody (R12). */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { agentDefaults } from '../../actors/agent/enrolment.ts';
import { taskDefaults } from '../../actors/task/attempt.ts';
import { limits } from '../../config/limits.ts';

const root = join(import.meta.dirname, '../..');
const names = Object.keys(limits) as (keyof typeof limits)[];

test('R12: every limit is named by code outside of its own file', () => {
  const text = ['runtime', 'actors', 'api', 'config', 'scripts']
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => path !== join(root, 'config/limits.ts'))
    .map((path) => readFileSync(path, 'utf8'))
    .join('\n');
  const named = new Set([...text.matchAll(/\blimits\.(\w+)/g)].map(([, name]) => name));
  expect(names.filter((name) => !named.has(name))).toEqual([]);
});

test('R12: every limit says its unit, and is a positive number', () => {
  const unit = /(Ms|Seconds(Max)?|Bytes(Max)?|Entries(Max)?|Max|Default|Ratio|scanCount)$/;
  expect(names.filter((name) => !unit.test(name))).toEqual([]);
  for (const name of names) expect(limits[name] > 0 && Number.isFinite(limits[name])).toBe(true);
});

describe('R12: what depends on one another fits', () => {
  const relations: [sentence: string, holds: boolean][] = [
    ['an owner renews its lease three times before it ends', limits.balanceEveryMs * 3 < limits.leaseTtlMs],
    ['a call that hangs is cut while the lease still holds', limits.callDeadlineMs < limits.leaseTtlMs],
    ['so is a read', limits.readBlockMs + limits.readWatchdogMarginMs < limits.leaseTtlMs],
    ['a process is a member as long as its leases are its own', limits.memberTtlMs >= limits.leaseTtlMs],
    ['parameters and result fit into a snapshot', limits.snapshotBytesMax >= 2 * limits.payloadBytesMax],
    ['a snapshot fits into an entry, read or written', limits.entryBytesMax >= 2 * limits.snapshotBytesMax],
    ['an error message fits beside them', limits.errorMessageLengthMax * 4 < limits.payloadBytesMax],
    ['a full bulk submit is decided in one commit', limits.batchEnvelopesMax <= limits.commitEntriesMax],
    ['what one read takes is decided in one commit', limits.readEntriesMax <= limits.commitEntriesMax],
    ['a batch may be assigned whole', limits.assignmentsPerBatchMax >= limits.batchEnvelopesMax],
    [
      'an assignment costs two steps, and all of them may cascade',
      limits.cascadeStepsMax >= 2 * limits.assignmentsPerBatchMax,
    ],
    ['an agent may lose all its slots in one step', limits.effectsPerStepMax >= 10_000],
    ['a full batch stays in memory while it is decided', limits.actorsCachedMax > limits.batchEnvelopesMax],
    ['a gap of the relay is waited for longer than one read of it', limits.relayGapEntriesMax > limits.relayEntriesMax],
    ['a journal warns before it stops', limits.journalAlarmEntries < limits.journalEntriesMax],
    [
      'an answer is kept longer than anybody waits for it',
      limits.repliesExpireMs > limits.preferWaitSecondsMax * 1_000,
    ],
    ['a page is no larger than the largest', limits.listLimitDefault <= limits.listLimitMax],
    ['a shard number fits into an id', limits.shardsMax <= 10_000 && limits.shardsDefault <= limits.shardsMax],
    ['an agent is heard of three times before it is suspect', agentDefaults.heartbeatMs * 3 <= agentDefaults.suspectMs],
    ['and it is suspect before it is lost', agentDefaults.suspectMs < agentDefaults.lostMs],
    ['signs of life that are passed over never make it suspect', agentDefaults.seenEveryMs < agentDefaults.heartbeatMs],
    ['a lost agent gives its task back before the assignment does', agentDefaults.lostMs < taskDefaults.assignedMs],
    ['a take-over is over before an agent is suspect', limits.leaseTtlMs < agentDefaults.suspectMs],
    ['a finished task outlives its answer', taskDefaults.retentionMs > limits.repliesExpireMs],
  ];
  test.each(relations)('%s', (_sentence, holds) => {
    expect(holds).toBe(true);
  });
});
