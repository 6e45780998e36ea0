/** The part of the table of routes that is about sites. */
import { ref } from '../components.ts';
import { inPath, type Operation } from '../operation.ts';
import { siteActions, type SiteAction } from './handlers.ts';

const summaries: Record<SiteAction, string> = {
  switchover: 'Hand over to the other site: nothing is lost',
  promote: 'Become active with everything that the other site still gives',
  'force-promote': 'Become active with what is here',
  check: 'Compare both sites now',
  pause: 'Follow the other site no more',
  resume: 'Follow it again',
};

const bodies: Partial<Record<SiteAction, Pick<Operation, 'body'>>> = {
  'force-promote': { body: { type: 'object', properties: { confirm: { const: true } }, required: ['confirm'] } },
  check: {
    body: {
      type: 'object',
      properties: { full: { type: 'boolean', description: 'All actors, and not a sample of every shard.' } },
      additionalProperties: false,
    },
  },
};

export const siteOperations: Record<string, Record<string, Operation>> = {
  '/api/v1/sites': {
    get: {
      summary: 'Both sites of the pair: role, epoch, lag',
      scope: 'read',
      answers: { 200: ['The sites; one of them is the one that answers.', ref('SiteList')] },
      problems: ['invalid-request'],
    },
  },
  ...Object.fromEntries(
    siteActions.map((action): [string, Record<string, Operation>] => [
      `/api/v1/sites/{site}/${action}`,
      {
        post: {
          summary: summaries[action],
          scope: 'admin',
          parameters: [inPath('site', { enum: ['primary', 'secondary'] })],
          ...bodies[action],
          answers: { 202: ['Begun; GET /api/v1/sites shows how it goes.', { type: 'object' }] },
          problems: [
            'not-found',
            'other-site',
            'not-legal-now',
            ...(action in bodies ? (['invalid-request', 'invalid-json'] as const) : []),
          ],
        },
      },
    ]),
  ),
};
