/** The standby of the bench: it mirrors what the active site does, and notes how far behind each link was stored. */
import { PairSite } from '../support/pair.ts';
import { incarnation, prefix } from './stage.ts';

export interface StandbyData {
  url: string;
  peerUrl: string;
  shards: number;
}

export interface StandbyReport {
  cpuUs: number;
  /** Milliseconds from the decision of a link to its being stored here, sorted; since the last report. */
  lagsMs: number[];
}

const { url, peerUrl, shards } = JSON.parse(process.argv[2]!) as StandbyData;
let lagsMs: number[] = [];
const site = new PairSite({
  ...{ number: 2, url, peerUrl, shards, incarnation, prefix },
  told: ({ state, lagMs }) => {
    if (state === 'following') lagsMs.push(lagMs);
  },
});

process.on('message', (order: 'report' | 'stop') => {
  if (order === 'report') {
    const { user, system } = process.cpuUsage();
    process.send!({ cpuUs: user + system, lagsMs: lagsMs.sort((left, right) => left - right) } satisfies StandbyReport);
    lagsMs = [];
    return;
  }
  void site.close().then(() => {
    for (const { message, fields } of site.log.lines) console.error(message, JSON.stringify(fields));
    process.exit(site.log.lines.length === 0 ? 0 : 1);
  });
});
process.on('disconnect', () => process.exit(1));
await site.begin();
await site.standby();
process.send!('ready');
