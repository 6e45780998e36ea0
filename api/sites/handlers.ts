/** Routes of the two sites of a pair: how they stand, and what an operator may tell this one. */
import { Router, type Request } from 'express';
import { controlShard, otherSite, siteAddress, siteNumber, syncAddress } from '../../actors/site/address.ts';
import type { SiteContext } from '../../actors/site/status.ts';
import type { SyncContext } from '../../actors/sync/events.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import { allow, callerOf } from '../auth.ts';
import { parseStrict, readBody } from '../body.ts';
import type { ApiContext, PairAnswers } from '../context.ts';
import { refuse } from '../outcome.ts';
import { Problem } from '../problem.ts';
import { queryOf } from '../request.ts';
import { traceOf } from '../trace.ts';

export const siteActions = ['switchover', 'promote', 'force-promote', 'check', 'pause', 'resume'] as const;
export type SiteAction = (typeof siteActions)[number];

export function siteRoutes(context: ApiContext): Router {
  const router = Router();

  router.get('/', allow('read'), async (request, response) => {
    queryOf(request, []);
    response.json({ sites: await sitesOf(context) });
  });

  for (const action of siteActions)
    router.post(`/:site/${action}`, allow('admin'), async (request, response) => {
      const pair = pairOf(context, request, action);
      if (action === 'force-promote') await refuseUnconfirmed(request, pair);
      if (action === 'promote') await refuseWhileActive(context, pair);
      const { name, shards } = context.site;
      const full = action === 'check' && (await wantsAll(request));
      const { to, event } = wordOf(context, action, `${action} by ${callerOf(request).subject}`, full);
      const by = { by: callerOf(request).subject, ...traceOf(request) };
      const outcomes = await context.commands.send(controlShard(shards), [
        { id: context.system.ulid(), to, event, ...by },
      ]);
      for (const outcome of outcomes ?? []) refuse(outcome);
      response.status(202).json({ site: name, action, role: pair.standing.role });
    });

  return router;
}

/** Both sites; of one that runs alone, itself. */
export async function sitesOf({ site, pair, system }: ApiContext): Promise<JsonObject[]> {
  if (!pair) return [{ site: site.name, number: siteNumber(site.name), role: 'active', self: true }];
  const { standing, otherApi } = pair;
  const [own, sync, other] = await Promise.all([
    standing.snapshot('site') as Promise<unknown> as Promise<SiteContext | undefined>,
    standing.snapshot('sync') as Promise<unknown> as Promise<SyncContext | undefined>,
    standing.other(),
  ]);
  const there = otherSite(site.name);
  const { lag } = standing;
  const check = sync?.lastCheck;
  return [
    {
      ...{ site: site.name, number: siteNumber(site.name), self: true },
      ...{ role: standing.role, epoch: standing.epoch, link: standing.link },
      ...(own && { mode: own.mode, reason: own.reason, since: new Date(own.since).toISOString() }),
      ...(lag && { lag_entries: lag.entries, lag_ms: lag.ms }),
      ...(sync?.copied !== undefined && { copy: { actors: sync.copied } }),
      ...(sync?.refusal && { refusal: sync.refusal }),
      ...(check && {
        last_check: {
          ...{ at: new Date(check.at).toISOString(), equal: check.equal, full: check.full === true },
          ...(check.compared !== undefined && { compared: check.compared }),
          drift: [...check.drift],
        },
      }),
    },
    {
      ...{ site: there, number: siteNumber(there), self: false, api: otherApi },
      ...(other ? { role: other.role ?? null, epoch: other.epoch } : { role: null, reachable: false }),
      seen_at: new Date(system.now()).toISOString(),
    },
  ];
}

/** @throws Problem where there is no pair, or the request is for the other site */
function pairOf({ pair, site }: ApiContext, request: Request, action: SiteAction): PairAnswers {
  if (!pair)
    throw new Problem('not-found', 'this site runs alone', {
      remedy: 'a pair of sites is made by [peer] in the settings',
    });
  const { site: name = '' } = request.params as { site?: string };
  if (name === site.name) return pair;
  if (name !== otherSite(site.name))
    throw new Problem('not-found', `there is no site "${name.slice(0, 40)}": sites are primary and secondary`);
  throw new Problem('other-site', `this is the ${site.name} site`, {
    where: 'site',
    remedy: `send it to ${pair.otherApi}/api/v1/sites/${name}/${action}`,
  });
}

function wordOf(
  { site: { name, shards } }: ApiContext,
  action: SiteAction,
  reason: string,
  full: boolean,
): { to: Address; event: JsonObject & { type: string } } {
  switch (action) {
    case 'switchover':
    case 'promote':
      return { to: siteAddress(name, shards), event: { type: action, reason } };
    case 'force-promote':
      return { to: siteAddress(name, shards), event: { type: 'force_promote', reason } };
    case 'check':
      return { to: syncAddress(name, shards), event: { type: action, ...(full && { full }) } };
    case 'pause':
    case 'resume':
      return { to: syncAddress(name, shards), event: { type: action } };
  }
}

/** @throws Problem when the body is not `{"full": true}`, `{"full": false}` or nothing */
async function wantsAll(request: Request): Promise<boolean> {
  const body = await bodyOf(request);
  const { full = false, ...others } = body ?? { others: body };
  const [unknown] = Object.keys(others);
  if (typeof full === 'boolean' && unknown === undefined) return full;
  throw new Problem('invalid-request', 'a check takes {"full": true}, or no body', {
    ...(body && { where: unknown === undefined ? '/full' : `/${unknown}` }),
    remedy: 'send {"full": true} to compare all actors, and nothing for a sample of every shard',
  });
}

/** @returns undefined where it is no object */
async function bodyOf(request: Request): Promise<JsonObject | undefined> {
  const { text } = await readBody(request);
  const body = text.trim() === '' ? {} : parseStrict(text);
  return typeof body === 'object' && body !== null && !Array.isArray(body) ? (body as JsonObject) : undefined;
}

/** What is lost by it is said before it is done. */
async function refuseUnconfirmed(request: Request, { standing }: PairAnswers): Promise<void> {
  if ((await bodyOf(request))?.['confirm'] === true) return;
  const { lag } = standing;
  const behind = lag ? `${lag.entries} entries, ${lag.ms} ms, when the other site was seen last` : 'not known';
  throw new Problem(
    'invalid-request',
    `what the other site decided and this one lacks becomes a branch that lost; lag: ${behind}`,
    {
      where: '/confirm',
      remedy: 'repeat it with {"confirm": true} when the other site is lost or cut off',
    },
  );
}

async function refuseWhileActive(context: ApiContext, { standing, otherApi }: PairAnswers): Promise<void> {
  const other = standing.role === 'standby' ? await standing.other() : undefined;
  if (other?.role !== 'active') return;
  const name = otherSite(context.site.name);
  throw new Problem('not-legal-now', `the ${name} site is active under epoch ${other.epoch}`, {
    remedy: `let it hand over: POST ${otherApi}/api/v1/sites/${name}/switchover`,
  });
}
