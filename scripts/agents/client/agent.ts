/**
 * An agent in TypeScript: registers over REST, takes assignments from its inbox stream, reports on its outbox stream.
 *
 * It keeps the promises that the protocol asks for: work is taken over before it is acknowledged, every report quotes
 * the token of its attempt, an attempt ends with exactly one final report, and heartbeats name what runs. When the server
 * has given the agent up, it registers anew, as a new generation, and forgets what it did before. Of a pair of sites it works
 * for the active one, and follows when that changes: attempts go on, and end at the site that is active then.
 */
import { Attempts, type Handler } from './attempts.ts';
import { pause, type ClientCertificate } from './connection.ts';
import { beatUntil } from './heartbeat.ts';
import { readInbox } from './inbox.ts';
import { silent, type AgentLog } from './log.ts';
import type { Assignment, InboxMessage } from './message.ts';
import { Whereabouts } from './whereabouts.ts';
import { register, type Registration, type RegistrationRequest } from './registration.ts';
import { openReporter, type Report, type Reporter } from './reporter.ts';
import { Route } from './route.ts';

export type { Handler, Progress, Task } from './attempts.ts';

export interface AgentOptions {
  /** Base address of the server, for example `http://127.0.0.1:8000`; of a pair of sites, the addresses of both. */
  api: string | readonly string[];
  /** Bearer token with the right to register agents. */
  token: string;
  type: string;
  /** Attempts that run at the same time. */
  slots?: number;
  /** Stable id; without it the server makes one. */
  id?: string;
  capabilities?: readonly string[];
  labels?: Readonly<Record<string, string | number>>;
  version?: string;
  handler: Handler;
  /** Instead of the address that the registration names. */
  redisUrl?: string;
  /** For a Redis that asks its clients for one; which CA is trusted, `NODE_EXTRA_CA_CERTS` says. */
  redisCertificate?: ClientCertificate;
  logger?: AgentLog;
  /** How long `stop` waits for running work before it gives it back. */
  stopGraceMs?: number;
}

export interface Agent {
  /** Resolves when the agent is registered and reads its inbox. Rejects when the server refuses it for good. */
  start(): Promise<void>;
  /** Idempotent. Finishes what runs (up to the grace), gives the rest back, says goodbye. */
  stop(): Promise<void>;
  /** Resolves when the agent has stopped, by `stop` or because the server said so. */
  readonly stopped: Promise<void>;
  /** Id and generation while registered. */
  readonly identity: { id: string; generation: number } | undefined;
}

const stopGraceDefaultMs = 10_000;
const abortGraceMs = 1_000;
const goodbyeDeadlineMs = 3_000;
const registerRetryMinMs = 250;
const registerRetryMaxMs = 5_000;

/** Why a partial result is not taken although the attempt is under way. */
const chunkReasons: ReadonlySet<string> = new Set(['chunk-gap', 'chunks-full', 'invalid-event']);

/** Everything of one generation; it ends as a whole. */
interface Session {
  registration: Registration;
  /** Of inbox and outbox. */
  routes: readonly Route[];
  /** The highest that a message named: what a site of a lower one still says is void. */
  epoch: number;
  reporter: Reporter;
  attempts: Attempts;
  reading: AbortController;
  beating: AbortController;
  running: Promise<unknown>;
  draining: boolean;
}

export function createAgent(options: AgentOptions): Agent {
  const log = options.logger ?? silent;
  const apis = [options.api].flat();
  const leaving = new AbortController();
  let session: Session | undefined;
  let id = options.id;
  let starting: Promise<void> | undefined;
  let stopping: Promise<void> | undefined;
  let renewing: Promise<void> | undefined;
  let announceStopped: () => void = () => undefined;
  const stopped = new Promise<void>((resolve) => (announceStopped = resolve));

  function request(): RegistrationRequest {
    const { type, slots = 1, capabilities, labels, version } = options;
    return {
      type,
      slots,
      batch: true,
      ...(capabilities ? { capabilities } : {}),
      ...(labels ? { labels } : {}),
      ...(version ? { version } : {}),
      ...(id ? { id } : {}),
    };
  }

  /** Tries until the server takes it, refuses it, or the agent leaves. */
  async function registered(): Promise<Registration | undefined> {
    for (let waitMs = registerRetryMinMs; !leaving.signal.aborted; waitMs = Math.min(waitMs * 2, registerRetryMaxMs)) {
      const reasons: string[] = [];
      for (const api of apis) {
        const answer = await register(api, options.token, request());
        if (answer.outcome === 'registered') return answer.registration;
        if (answer.outcome === 'refused') throw new Error(`the agent cannot register: ${answer.reason}`);
        reasons.push(answer.reason);
      }
      log.warn({ reason: reasons.join('; '), retryInMs: waitMs }, 'the registration waits');
      await pause(waitMs, leaving.signal);
    }
    return undefined;
  }

  function open(registration: Registration): Session {
    id = registration.id;
    const { redisUrl = registration.redisUrl, redisCertificate: certificate } = options;
    const routes = [0, 1].map(() => new Route(redisUrl, registration.redisNodes)) as [Route, Route];
    const { outbox, inbox, group, generation, heartbeatIntervalMs } = registration;
    const reporter = openReporter({
      ...{ route: routes[0], certificate, outbox, agent: registration.id, generation, log },
    });
    const send = (report: Report) => reporter.send(report);
    const opened: Session = {
      registration,
      routes,
      epoch: 0,
      reporter,
      attempts: new Attempts(options.handler, send, log),
      reading: new AbortController(),
      beating: new AbortController(),
      running: Promise.resolve(),
      draining: false,
    };
    const reader = {
      ...{ route: routes[1], certificate, inbox, group, consumer: registration.id, log },
      receive: (message: InboxMessage) => receive(opened, message),
      lost: (reason: string) => renew(opened, reason),
    };
    opened.running = Promise.all([
      readInbox(reader, opened.reading.signal),
      beatUntil(opened.beating.signal, heartbeatIntervalMs, () => {
        send({ kind: 'heartbeat', attempts: opened.attempts.names() });
      }),
      follow(opened),
    ]);
    log.info({ agent: id, generation, slots: registration.slots }, 'the agent is registered');
    return opened;
  }

  /** While there is another site, looks which one is active, and goes there. */
  async function follow(followed: Session): Promise<void> {
    if (apis.length < 2 || options.redisUrl !== undefined) return;
    const { id: own, heartbeatIntervalMs } = followed.registration;
    const whereabouts = new Whereabouts(apis, options.token, own);
    while (!followed.beating.signal.aborted) {
      await pause(heartbeatIntervalMs, followed.beating.signal);
      const found = followed.beating.signal.aborted ? undefined : await whereabouts.look();
      if (!found || followed.beating.signal.aborted) continue;
      if (found.outcome === 'refused') {
        renew(followed, found.reason);
        return;
      }
      const { generation, inbox, outbox, redisUrl, redisNodes } = found.registration;
      const present = followed.registration;
      // Registered anew by somebody, or other streams: that is another agent than this one.
      if (generation !== present.generation || inbox !== present.inbox || outbox !== present.outbox) {
        renew(followed, `the active site knows it as generation ${generation}`);
        return;
      }
      if (redisUrl === present.redisUrl) continue;
      log.warn({ agent: own, running: followed.attempts.count }, 'the other site is active now; the agent follows');
      followed.registration = found.registration;
      for (const route of followed.routes) route.moveTo(redisUrl, redisNodes);
      followed.reporter.moved();
    }
  }

  function receive(from: Session, message: InboxMessage): void {
    if (message.epoch !== undefined && message.epoch < from.epoch) {
      log.warn(
        { kind: message.kind, epoch: message.epoch, present: from.epoch },
        'a message of a former active site is void',
      );
      return;
    }
    from.epoch = message.epoch ?? from.epoch;
    switch (message.kind) {
      case 'assign':
        return take(from, message);
      case 'cancel': {
        const { task, token } = message;
        // What never arrived here can be called off at once; what is finished has been reported.
        if (!from.attempts.stop(token, 'cancel') && from.attempts.remember(token)) {
          from.reporter.send({ kind: 'cancelled', task, token });
        }
        return;
      }
      case 'drain':
        from.draining = true;
        return;
      case 'resume':
        from.draining = false;
        return;
      case 'shutdown':
        void stop();
        return;
      case 'refused':
        log.warn({ report: message.report, task: message.task, reason: message.reason }, 'a report was refused');
        // Its token is good: the attempt goes on, and whoever follows it must not miss a part without a word.
        if (message.token && message.report === 'chunk' && chunkReasons.has(message.reason))
          from.attempts.stop(message.token, 'refused');
        else if (message.token) from.attempts.stop(message.token, 'forgotten');
        // A heartbeat about no task is refused only to an agent that the server has given up.
        else if (message.report === 'heartbeat') renew(from, message.reason);
        return;
    }
  }

  function take(from: Session, assignment: Assignment): void {
    const { task, token } = assignment;
    if (!from.attempts.remember(token)) return;
    if (from.draining || leaving.signal.aborted || from.attempts.count >= from.registration.slots) {
      const reason = from.attempts.count >= from.registration.slots ? 'no free slot' : 'the agent takes no new work';
      from.reporter.send({ kind: 'released', task, token, reason });
    } else {
      from.attempts.start(assignment);
    }
  }

  async function close(ended: Session): Promise<void> {
    ended.reading.abort();
    ended.beating.abort();
    await ended.running;
    await ended.reporter.close();
  }

  /** A new generation in place of one that the server has given up. Its tokens are dead, so nothing of it is reported. */
  function renew(old: Session, reason: string): void {
    if (leaving.signal.aborted || renewing || session !== old) return;
    log.warn({ agent: id, reason }, 'the server has given this agent up; it registers anew');
    old.attempts.stopAll('forgotten');
    renewing = (async () => {
      await pause(registerRetryMinMs, leaving.signal);
      await close(old);
      const registration = await registered();
      if (registration) session = open(registration);
    })()
      .catch((error: unknown) => {
        log.error({ reason: error instanceof Error ? error.message : String(error) }, 'the agent ends');
        void stop();
      })
      .finally(() => (renewing = undefined));
  }

  async function shutDown(): Promise<void> {
    leaving.abort();
    await starting?.catch(() => undefined);
    await renewing;
    const last = session;
    session = undefined;
    if (last) {
      last.reading.abort();
      await last.attempts.settle(options.stopGraceMs ?? stopGraceDefaultMs);
      last.attempts.stopAll('shutdown');
      await last.attempts.settle(abortGraceMs);
      for (const attempt of last.attempts.abandon()) {
        last.reporter.send({ kind: 'released', ...attempt, reason: 'the agent shuts down' });
      }
      last.beating.abort();
      last.reporter.send({ kind: 'goodbye' });
      if (!(await last.reporter.flush(goodbyeDeadlineMs))) log.warn({ agent: id }, 'the goodbye did not reach Redis');
      await close(last);
    }
    log.info({ agent: id }, 'the agent has stopped');
    announceStopped();
  }

  function stop(): Promise<void> {
    return (stopping ??= shutDown());
  }

  return {
    start() {
      starting ??= registered().then((registration) => {
        if (registration) session = open(registration);
      });
      return starting;
    },
    stop,
    stopped,
    get identity() {
      return session && { id: session.registration.id, generation: session.registration.generation };
    },
  };
}
