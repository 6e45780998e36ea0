/**
 * Entries as version 1 wrote them on the streams, and what they mean. They stand in Redis and in archives of sites that run
 * now, and agents in other languages write them: a change that breaks one of these needs a new field, not a new meaning.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { application, createRegistry } from '../../actors/application.ts';
import { intake } from '../../runtime/core/intake.ts';
import { Reconstruction } from '../../runtime/core/reconstruction.ts';
import type { Entry } from '../../runtime/ports.ts';
import type { JournalEntry } from '../../runtime/protocol/journal.ts';

interface Golden {
  entries: { name: string; entry: Entry; meaning: unknown }[];
  journal: { position: string; entry: JournalEntry }[];
  /** What the journal above rebuilds. */
  image: unknown;
}

const golden = JSON.parse(readFileSync(join(import.meta.dirname, '../golden/wire/1.json'), 'utf8')) as Golden;
const plain = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_key, part: unknown) => (part instanceof Map ? Object.fromEntries(part) : part)));

test.each(golden.entries)('$name', ({ entry, meaning }) => {
  const { entry: _, ...understood } = intake(entry, application);
  expect(plain(understood)).toEqual(meaning);
});

test('a journal is replayed to the same snapshots, mailboxes and counters', () => {
  const reconstruction = new Reconstruction(3, createRegistry());
  for (const { position, entry } of golden.journal) reconstruction.take(position, entry);
  expect(reconstruction.drift).toEqual([]);
  expect(plain(reconstruction.image())).toEqual(golden.image);
});
