/** Routes of definitions, actors and charts, as data. */
import { ref } from '../components.ts';
import { header, inPath, inQuery, paging, type Operation } from '../operation.ts';

export const visualiserRoutes: Record<string, Record<string, Operation>> = {
  '/api/v1/machines': {
    get: {
      summary: 'Registered definitions',
      scope: 'read',
      tenants: true,
      answers: { 200: ['The definitions, and how many actors of each live.', ref('MachineList')] },
      problems: ['invalid-request'],
    },
  },
  '/api/v1/machines/{definition}': {
    get: {
      summary: 'The statechart of a definition as data',
      scope: 'read',
      tenants: true,
      parameters: [inPath('definition')],
      answers: { 200: ['States and transitions.', ref('Chart')] },
      problems: ['invalid-request', 'not-found'],
    },
  },
  '/api/v1/machines/{definition}/chart.svg': {
    get: {
      summary: 'The statechart of a definition as a picture',
      scope: 'read',
      tenants: true,
      parameters: [inPath('definition'), header('If-None-Match', 'ETag that the client has.')],
      answers: { 200: ['SVG.', { type: 'string' }, 'image/svg+xml'], 304: ['It has not changed.'] },
      problems: ['invalid-request', 'not-found'],
    },
  },
  '/api/v1/machines/{definition}/activity': {
    get: {
      summary: 'How many actors are in each state, and which ways they took in the last minute',
      scope: 'read',
      parameters: [inPath('definition')],
      answers: {
        200: [
          'Counts, of all shards but those in `silent_shards`, whose owner did not answer.',
          ref('MachineActivity'),
        ],
      },
      problems: ['invalid-request', 'not-found'],
    },
  },
  '/api/v1/actors/{definition}': {
    get: {
      summary: 'Actors of a definition that has no list of its own',
      scope: 'read',
      parameters: [inPath('definition'), inQuery('state'), ...paging],
      answers: { 200: ['A page.', ref('ActorList')] },
      problems: ['invalid-request', 'invalid-cursor', 'not-found'],
    },
  },
  '/api/v1/actors/{definition}/{id}': {
    get: {
      summary: 'How an actor stands: its states, context, timers and the events that it takes',
      scope: 'read',
      tenants: true,
      parameters: [inPath('definition'), inPath('id')],
      answers: { 200: ['The actor.', ref('Actor')] },
      problems: ['invalid-request', 'invalid-id', 'not-found', 'not-legal-now'],
    },
  },
  '/api/v1/actors/{definition}/{id}/events': {
    post: {
      summary: 'Tell an actor an event that it takes as a command; `legal` of the actor names the scope of each',
      scope: 'admin',
      tenants: true,
      parameters: [inPath('definition'), inPath('id')],
      body: { type: 'object', properties: { type: { type: 'string' } }, required: ['type'] },
      answers: {
        200: ['What became of it.', { type: 'object' }],
        202: ['Stored, and not decided yet.', { type: 'object' }],
      },
      problems: ['invalid-request', 'invalid-json', 'invalid-id', 'not-found', 'not-legal-now', 'ingress-stopped'],
    },
  },
  '/api/v1/actors/{definition}/{id}/replay': {
    get: {
      summary: 'The history of an actor, decided once more; with `at`, how it stood after that record',
      scope: 'read',
      tenants: true,
      parameters: [inPath('definition'), inPath('id'), inQuery('at', { type: 'integer', minimum: 0 })],
      answers: { 200: ['The records, or the actor at one of them.', ref('Replay')] },
      problems: ['invalid-request', 'invalid-id', 'not-found'],
    },
  },
  '/api/v1/actors/{definition}/{id}/what-if': {
    post: {
      summary: 'What would have become of an actor with another event; nothing is changed and no effect is run',
      audited: false,
      scope: 'read',
      tenants: true,
      parameters: [inPath('definition'), inPath('id')],
      body: ref('WhatIf'),
      answers: { 200: ['The steps from there on.', { type: 'object' }] },
      problems: ['invalid-request', 'invalid-json', 'invalid-id', 'not-found', 'not-legal-now'],
    },
  },
  '/api/v1/activity': {
    get: {
      summary: 'Throughput, latency and open tasks of the last hour, by minute',
      scope: 'read',
      answers: { 200: ['Sixty minutes, oldest first.', ref('Activity')] },
      problems: ['invalid-request'],
    },
  },
  '/api/v1/streams': {
    get: {
      summary: 'Streams of all shards with length, lag and pending entries',
      scope: 'read',
      answers: { 200: ['The streams.', ref('StreamList')] },
      problems: ['invalid-request'],
    },
  },
};
