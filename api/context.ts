/** What every route needs, made once by the composition root. */
import type {
  AuditNotes,
  Log,
  System,
  CommandGateway,
  LaneStatus,
  JournalReader,
  Machines,
  MailboxGateway,
  MailboxUsers,
  StreamStatus,
} from '../runtime/ports.ts';
import type { AuditReader, ConflictReader, ReadModel } from '../runtime/readmodel.ts';
import type { SiteRole } from '../actors/site/status.ts';
import type { LinkState } from '../actors/sync/events.ts';
import type { JsonObject } from '../runtime/protocol/json.ts';
import type { AuthSettings } from './auth.ts';
import type { BulkWorker } from './bulkworker.ts';
import type { Commands } from './commands.ts';
import type { Follower } from './follower.ts';
import type { RateLimitSettings } from './ratelimit.ts';
import type { Layouts } from './visualiser/layout.ts';

export interface SiteSettings {
  name: 'primary' | 'secondary';
  version: string;
  shards: number;
  maxAgents: number;
  taskTimeoutMs: number;
  /** How long a task stays in Redis when it is over, where it does not say so itself. */
  taskKeepMs: number;
  /** Address of Redis that agents are told. */
  agentRedisUrl: string;
  /** Addresses of nodes that agents are told beside it, where it is a Redis Cluster. */
  agentRedisNodes?: readonly string[];
  /** What the passwords of agents follow from. */
  agentSecret: string;
  keyPrefix: string;
}

/** How this site of a pair stands, and how the other one does. */
export interface PairContext {
  readonly role: SiteRole;
  readonly epoch: number;
  readonly link: LinkState;
  /** Of a standby. */
  readonly lag: { entries: number; ms: number } | undefined;
  /** Context of an actor of this site; undefined before it exists. @throws Unavailable */
  snapshot(actor: 'site' | 'sync'): Promise<JsonObject | undefined>;
  /** What the other site says of itself; undefined where it does not answer. */
  other(): Promise<{ role: string | undefined; epoch: number } | undefined>;
  /** Whether the other site has stored what these shards had decided when this was called. @throws Unavailable */
  untilFollowed(shards: readonly number[], deadlineMs: number): Promise<boolean>;
}

export interface PairAnswers {
  standing: PairContext;
  /** Where the API of the other site answers. */
  otherApi: string;
  writesOnStandby: 'refuse' | 'redirect';
}

export interface Health {
  redis: boolean;
  postgres: boolean;
  /** Shards that this process holds, and how long the slowest has not come round. */
  shardsHeld: number;
  readAgeMs: number;
  /** Settings of Redis under which promises do not hold. */
  findings: readonly object[];
}

export interface ApiContext {
  site: SiteSettings;
  /** Undefined where the site runs alone. */
  pair?: PairAnswers | undefined;
  auth: AuthSettings;
  rateLimits: RateLimitSettings;
  audit: { notes: AuditNotes; reader: AuditReader };
  conflicts: ConflictReader;
  gateway: CommandGateway;
  /** Undefined where all agents share the account of `agentRedisUrl`. */
  users: MailboxUsers | undefined;
  mailboxes: MailboxGateway;
  journals: JournalReader;
  commands: Commands;
  bulkWorker: Pick<BulkWorker, 'begin'>;
  follower: Follower;
  readModel: ReadModel;
  system: System;
  log: Log;
  health(): Promise<Health>;
  machines: Machines;
  layouts: Layouts;
  lanes(): LaneStatus[];
  /** Streams of all shards. @throws Unavailable */
  streams(): Promise<StreamStatus[]>;
  projection(): { shard: number; lagSeconds: number }[];
  metrics: { contentType: string; render(): Promise<string> };
  /** False while the process goes down: /readyz says so before the port closes. */
  ready(): boolean;
}
