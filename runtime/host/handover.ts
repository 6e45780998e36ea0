/** What a site that lost hands over of one shard: packages in a stream of its own, before anything of it is overwritten. */
import { limits } from '../../config/limits.ts';
import { emptyCommit } from '../core/decision.ts';
import { fieldsOf } from '../core/intake.ts';
import { lossesOf, type Lost, type LostRecord } from '../core/merge/lost.ts';
import { entryOf } from '../core/merge/replica.ts';
import type { Commit, MirrorStore, PeerSite, ShardStore } from '../ports.ts';
import type { Command } from '../protocol/envelope.ts';
import type { Address } from '../protocol/ids.ts';

export interface HandOverSettings {
  shard: number;
  /** Number of this site. */
  site: number;
  fork: Lost['fork'];
  mirrors: MirrorStore;
  peer: PeerSite;
  snapshots: Pick<ShardStore, 'load'>;
}

/** @returns number of packages; repeated after a crash it may hand over again, which the other site recognises by the ids */
export async function handOver(
  { shard, site, fork, mirrors, peer, snapshots }: HandOverSettings,
  commit: (commit: Commit) => Promise<void>,
): Promise<number> {
  const links = await mirrors.tail(shard, fork.sequence + 1);
  const waiting = await waitingCommands(mirrors, shard, links.at(-1)?.sequence ?? fork.sequence);
  const touched = new Set<Address>(links.flatMap((link) => entryOf(link).records.map(({ actor }) => actor)));
  const texts = new Map<Address, string>();
  const wanted = [...touched, ...waiting.records.map(({ record }) => record.actor)];
  for (let from = 0; from < wanted.length; from += limits.scanCount)
    for (const [address, text] of await snapshots.load(shard, wanted.slice(from, from + limits.scanCount)))
      texts.set(address, text);
  const losses = lossesOf(fork, links, waiting.records, (address) => texts.get(address) ?? null);
  // Numbers go on behind what the other site has taken, whatever became of the stream in which the last ones stood.
  const known = Number((await peer.taken(shard, site))?.split(' ')[0] ?? 0);
  let number = Math.max(known, await mirrors.lostNumber(shard));
  for (let from = 0; from < losses.length; from += limits.lostPackagesMax) {
    const page = losses.slice(from, from + limits.lostPackagesMax);
    await commit({
      ...emptyCommit(0),
      mirror: { losses: page.map((lost) => ({ number: ++number, text: JSON.stringify(lost) })) },
    });
  }
  // What was waiting is in the packages: here nobody decides it any more.
  if (waiting.ids.length > 0) await commit({ ...emptyCommit(0), acks: new Map([['commands', waiting.ids]]) });
  return losses.length;
}

async function waitingCommands(
  mirrors: MirrorStore,
  shard: number,
  sequence: number,
): Promise<{ records: LostRecord[]; ids: string[] }> {
  const entries = await mirrors.waiting(shard, limits.handOverCommandsMax);
  const records = entries.flatMap((entry): LostRecord[] => {
    const fields = fieldsOf(entry);
    const commands = [
      ...(JSON.parse(fields.get('batch') ?? '[]') as Command[]),
      ...(fields.has('command') ? [JSON.parse(fields.get('command')!) as Command] : []),
    ];
    return commands.map(({ to, ...command }) => ({
      sequence,
      at: Number(entry.id.split('-')[0]),
      record: { actor: to, ...command, origin: 'command', revision: 0, state: '' },
    }));
  });
  return { records, ids: entries.map(({ id }) => id) };
}
