/** Everything that a shard's store, its gateway and its readers promise, whatever they stand on. */
import type { Bed } from './bed.ts';
import { commitSuite } from './commit.suite.ts';
import { gateSuite } from './gate.suite.ts';
import { leaseSuite } from './lease.suite.ts';
import { readerSuite } from './reader.suite.ts';
import { relaySuite } from './relay.suite.ts';
import { streamsSuite } from './streams.suite.ts';

export function shardStoreSuite(bed: () => Bed): void {
  leaseSuite(bed);
  commitSuite(bed);
  streamsSuite(bed);
  relaySuite(bed);
  gateSuite(bed);
  readerSuite(bed);
}
