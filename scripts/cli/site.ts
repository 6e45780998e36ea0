/** `site`: the two sites of a pair, and who is active. */
import type { JsonObject } from '../../runtime/protocol/json.ts';
import { UsageError } from './usage.ts';
import { member } from './client.ts';
import type { Call, Command } from './command.ts';

const words: Record<string, string> = {
  switchover: 'hands over from the active site to the other one; nothing is lost',
  promote: 'makes a standby active with everything that the other site still gives',
  pause: 'stops following the other site',
  resume: 'follows it again',
};

export const siteCommands: readonly Command[] = [
  {
    words: 'site status',
    summary: 'both sites: role, epoch, lag, last comparison',
    run: async ({ output, api }) => {
      const { body } = await api('read').call('/api/v1/sites');
      output.show(body, () =>
        output.table<JsonObject>(
          [
            { title: 'site', of: (site) => `${member(site, 'site')}${site['self'] === true ? ' *' : ''}` },
            {
              title: 'role',
              of: (site) => (site['role'] === null ? 'no answer' : output.status(member(site, 'role'))),
            },
            { title: 'epoch', of: (site) => member(site, 'epoch') },
            { title: 'link', of: (site) => member(site, 'link') },
            { title: 'lag', of: lagOf },
            { title: 'why', of: whyOf, flexible: true },
          ],
          body['sites'] as JsonObject[],
        ),
      );
      return 0;
    },
  },
  ...Object.entries(words).map(([action, summary]): Command => ({
    words: `site ${action}`,
    summary: `${summary}; asks the site whose API it is`,
    run: (call) => act(call, action),
  })),
  {
    words: 'site check',
    summary: 'compares both sites now, by a sample of every shard; asks the site whose API it is',
    options: { full: { type: 'boolean', describe: 'compares all actors; takes about a second for 10,000' } },
    run: (call) => act(call, 'check', call.flag('full') ? { full: true } : undefined),
  },
  {
    words: 'site force-promote',
    summary: 'makes a standby active with what is here, when the other site is lost or cut off',
    options: { yes: { type: 'boolean', describe: 'goes ahead; without it the lag is shown and nothing done' } },
    run: async (call) => {
      if (call.flag('yes')) return act(call, 'force-promote', { confirm: true });
      const self = await selfOf(call);
      throw new UsageError(
        `what the other site decided and this one lacks becomes a branch that lost (lag: ${lagOf(self) || 'not known'}); add --yes`,
      );
    },
  },
];

/** What keeps a standby from following, or else why it has its role. */
function whyOf(site: JsonObject): string {
  const refusal = site['refusal'] as JsonObject | undefined;
  if (!refusal) return member(site, 'reason');
  return `${member(refusal, 'name')}: ${member(refusal, 'detail')}; ${member(refusal, 'remedy')}`;
}

function lagOf(site: JsonObject): string {
  const entries = member(site, 'lag_entries');
  return entries === '' ? '' : `${entries} entries, ${member(site, 'lag_ms')} ms`;
}

async function selfOf({ api }: Call): Promise<JsonObject> {
  const { body } = await api('read').call('/api/v1/sites');
  const self = (body['sites'] as JsonObject[]).find((site) => site['self'] === true);
  if (!self) throw new Error('the API did not say which site it is');
  return self;
}

async function act(call: Call, action: string, body?: JsonObject): Promise<number> {
  const site = member(await selfOf(call), 'site');
  const { output, api } = call;
  const answer = await api('admin').call(`/api/v1/sites/${site}/${action}`, {
    method: 'POST',
    ...(body && { body }),
  });
  output.show(answer.body, () => output.line(`${site}: ${action} begun; "site status" shows how it goes`));
  return 0;
}
