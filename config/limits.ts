/**
 * Every bound of the product in one place (R12). Units stand last in the names. Limits that depend on one another are
 * asserted below, when the module is loaded, so that a wrong pair cannot start a process.
 */
export const limits = {
  /** Number of shards of a new site pair; fixed at its birth because ids carry their shard. */
  shardsDefault: 16,
  shardsMax: 1024,

  /** Largest parameters or result of one task, as UTF-8 JSON. */
  payloadBytesMax: 256 * 1024,
  /** Largest partial result, and how many an attempt may report and how large together, as UTF-8 JSON. */
  chunkBytesMax: 64 * 1024,
  chunksPerAttemptMax: 10_000,
  chunkBytesPerAttemptMax: 16 * 1024 * 1024,
  /** Largest snapshot: parameters, result and error of a task together, with room for its own fields. */
  snapshotBytesMax: 768 * 1024,
  /** Largest single stream entry that a shard reads; larger ones are set aside. */
  entryBytesMax: 4 * 1024 * 1024,
  /** Largest JSON body of one HTTP request. */
  requestBytesMax: 8 * 1024 * 1024,
  /** Nesting and width of JSON that is taken in. */
  jsonDepthMax: 64,
  jsonKeysMax: 20_000,
  /** Levels and members that a command wraps around what the API took in. */
  envelopeDepthMax: 8,
  envelopeKeysMax: 64,

  /** How short and how long a task may stay in Redis when it is over. */
  taskKeepLeastMs: 1_000,
  taskKeepMostMs: 30 * 24 * 3_600_000,

  idLengthMax: 128,
  nameLengthMax: 128,
  reasonLengthMax: 1_024,
  errorMessageLengthMax: 8_192,
  capabilitiesMax: 64,
  /** Attempts that one agent runs at the same time. */
  slotsMax: 5_000,
  labelsMax: 64,
  /** Kinds of resources of one agent or task, and how much of one there may be. */
  resourcesMax: 32,
  resourceUnitsMax: 1_000_000_000_000,
  /** Largest limit of a concurrency key. */
  concurrencyMax: 10_000,
  /** Waiting after which a claim that fits nowhere has an agent kept free for it. */
  claimReserveAfterMs: 60_000,
  /** Tenants without waiting tasks whose turn a lane remembers. */
  idleTenantsMax: 1_000,
  /** Limits that one task may name, their units, window and name, which is part of an id. */
  limitsPerTaskMax: 8,
  limitUnitsMax: 1_000_000_000_000,
  limitWindowMs: 31 * 24 * 3_600_000,
  limitNameLengthMax: 64,

  /** Schedules of one tenant, their names, which are part of ids, and the shortest interval. */
  schedulesPerTenantMax: 1_000,
  scheduleNameLengthMax: 48,
  scheduleIntervalMinMs: 1_000,
  scheduleJitterMaxMs: 3_600_000,
  /** Lateness up to which an occurrence counts as on time: a take-over, or a restart. */
  schedulePunctualMs: 60_000,
  /** Missed occurrences that are made up, and those that are counted before the rest is passed over. */
  scheduleCatchUpMax: 100,
  scheduleScanMax: 500,
  /** Runs of one schedule that may wait for the end of others, that may be under way, and that it remembers. */
  scheduleQueueMax: 100,
  scheduleRunningMax: 100,
  scheduleRecentMax: 20,
  /** How long a uniqueness key that nobody holds stays in Redis. */
  uniqueKeyIdleMs: 60_000,
  /** Parsed cron patterns that a process keeps. */
  cronPatternsMax: 1_000,

  /** Envelopes in one `batch` field, and items in one bulk submit. */
  batchEnvelopesMax: 1_000,
  /** Characters at which an inbox entry takes no further message, unless the message is the first. */
  bundleLengthMax: 512 * 1024,
  /** Entries that one read takes from each stream, when few streams are read. */
  readEntriesMax: 256,
  /** Entries that a shard reads for one commit. */
  commitEntriesMax: 2_000,
  /** Envelopes at which a commit takes no further entry: Redis does nothing else while it makes a commit true. */
  commitEnvelopesMax: 4_000,
  /** Steps that what actors send one another may take in one batch; the rest waits on the command stream. */
  cascadeStepsMax: 20_000,
  /** Assignments that the dispatcher makes in one batch. */
  assignmentsPerBatchMax: 1_000,
  /** Microsteps of one transition: ends machines that loop in `always`. */
  microstepsMax: 100,
  /** Sends that one transition may cause. */
  /** Tasks that one task may depend on, tasks that may depend on one, and levels of them in one request. */
  parentsMax: 100,
  childrenMax: 500,
  dependencyDepthMax: 100,
  /** Results of parents that a task keeps for its agent, as JSON. */
  parentResultsBytesMax: 128 * 1024,
  effectsPerStepMax: 10_000,
  /** Command ids that an actor remembers to recognise a repeated command. */
  recentCommandsMax: 16,
  /** Live actors that a shard keeps in memory. */
  actorsCachedMax: 20_000,
  /** Timers that one look at the timer set takes. */
  timersPerReadMax: 500,
  /** Pending entries that one sweep claims from former owners. */
  claimEntriesMax: 1_000,
  relayEntriesMax: 500,
  /** Relayed entries that a shard takes ahead of a missing one, before it gives the missing one up. */
  relayGapEntriesMax: 10_000,
  /** Links that a mirror reads at a time, and how long it waits for them. */
  mirrorLinksMax: 200,
  mirrorBlockMs: 500,
  mirrorRetryMs: 500,
  /** Lease epochs of one shard under one site epoch, in the journals of a pair. */
  leaseEpochsMax: 1_000_000,
  /** Commands nobody has decided that a site which lost hands over, a shard. */
  handOverCommandsMax: 10_000,
  /** Packages of lost history that are brought at a time. */
  lostPackagesMax: 200,
  lostEveryMs: 1_000,
  /** Branches of a shard's history whose beginnings are remembered: as many promotions may a site miss and still find the fork. */
  branchesMax: 100,
  /** How long the gates of an active site stay open without being prolonged, and how often they are. */
  gateForMs: 10_000,
  gateEveryMs: 2_000,
  /** How often the controller of a site looks at the world. */
  siteTurnMs: 250,
  /** How long a submit that asks for it waits until the other site has stored it, and how often it looks. */
  peerAckMs: 5_000,
  peerAckPollMs: 5,
  /** The other site is asked who it is for no longer than this; it must leave time to prolong gates and the lease. */
  greetMs: 1_000,
  /** The same where it did not answer the last time: its link comes back by itself. */
  greetAwayMs: 100,
  /** How long an offered site waits for the other one to take over, and then for it to say that it began. */
  handOverMs: 30_000,
  handOverGraceMs: 5_000,
  /** How long a site that got the lease of a lost one takes what the store of that one still gives. */
  inheritMs: 2_000,
  /** Percent of the witness's lease that its holder relies on, and a step of the wall clock that ends the lease. */
  witnessLeasePercentMax: 90,
  clockStepMs: 1_000,
  /** Lag at which a mirror is called lagging, and up to which a standby may take over by itself. */
  siteLagMs: 10_000,
  /** How often the lag is noted while nothing else changes. */
  syncNoteEveryMs: 5_000,
  /** Steps of a shard's lag that are remembered. */
  lagSamplesMax: 1_000,
  /** Differences that one comparison of both sites lists. */
  driftReportMax: 100,
  /** Actors of each shard and of either site that a check compares, unless all are asked for. */
  checkActorsPerShardMax: 1_000,
  /** How long a check waits for a standby to come up with what the active site had. */
  checkEvenMs: 10_000,
  /** How often a mirror removes what it keeps for others and they have. */
  mirrorTidyEveryMs: 5_000,
  projectEntriesMax: 200,
  auditEntriesMax: 500,
  auditEveryMs: 500,
  scanCount: 1_000,

  readBlockMs: 1_000,
  /** A blocking read that has not answered by BLOCK plus this is cut and its connection replaced. */
  readWatchdogMarginMs: 1_500,
  callDeadlineMs: 5_000,
  /** How often a client of a Redis Cluster asks which node has which slots, without having been redirected. */
  clusterRefreshEveryMs: 10_000,
  leaseTtlMs: 10_000,
  memberTtlMs: 10_000,
  balanceEveryMs: 1_000,
  pendingSweepEveryMs: 5_000,
  janitorEveryMs: 5_000,
  relayRetryMs: 1_000,
  /** How often a shard looks whether a key that another program overwrote is in order again. */
  damagedRetryMs: 1_000,
  projectorRetryMs: 1_000,
  /** How often a projector looks without having been told. */
  projectorIdleMs: 1_000,
  queryTimeoutMs: 30_000,
  /** For PostgreSQL to say whether a task that has left Redis had the Idempotency-Key of a submit. */
  earlierTaskMs: 2_000,
  /** Months for which the history has a place ahead of time, and how often that is looked at. */
  historyMonthsAheadMax: 2,
  /** Rows that one statement removes from a list, so that nobody waits for it. */
  pruneEntriesMax: 1_000,
  historyEveryMs: 3_600_000,
  /** Pause between two tries to be the one that may bring a site back. */
  lockRetryMs: 500,

  /** Age up to which journal entries stay although every reader has them: live followers resume there. */
  journalKeepMs: 60_000,
  /** Journal length at which an alarm is raised, and at which ingress stops (503) until readers catch up. */
  journalAlarmEntries: 200_000,
  journalEntriesMax: 1_000_000,
  /** A journal that is longer is not kept for the other site of a pair, which copies the shard instead. */
  journalFollowerEntriesMax: 400_000,
  /** Share of Redis maxmemory at which ingress stops. */
  memoryIngressStopRatio: 0.7,
  repliesKeepEntries: 10_000,
  repliesExpireMs: 600_000,

  /** Journal entries that the API's follower takes in one read, and its pause after a failed one. */
  followEntriesMax: 200,
  followRetryMs: 200,
  /** How long the API waits for the outcome of a command before it answers 202. */
  replyWaitMs: 3_000,
  /** How often a registration looks whether its account with Redis stands. */
  accountPollMs: 10,
  /** Messages in one answer of the gateway, and how often a long poll looks without having been told. */
  inboxMessagesMax: 100,
  inboxPollMs: 500,
  /** How often the mailboxes of a shard are looked at, and what makes one that cannot be trusted. */
  mailboxWatchEveryMs: 5_000,
  /** How far an entry id may be ahead of the clock of Redis: a clock may have been set back. */
  outboxFutureMs: 3_600_000,
  /** Reports that wait unread, and messages that their agent leaves unread. */
  outboxEntriesMax: 250_000,
  inboxEntriesMax: 100_000,
  /** Entries of one agent that had to be set aside within a minute. */
  badEntriesPerMinuteMax: 1_000,
  /** How long a task's page waits for the owner of its shard to say why it waits. */
  explainWaitMs: 1_000,
  /** Tasks that a bulk action tells in a second, and in one go. */
  bulkTasksPerSecondMax: 1_000,
  bulkTasksPerSecondDefault: 100,
  bulkPageEntriesMax: 100,
  /** Bulk actions that one process works at. */
  bulksPerProcessMax: 16,
  /** How often it is looked whether lists have caught up with the journals. */
  caughtUpPollMs: 20,
  /** For a worker to do one page, before another one may. */
  bulkLeaseMs: 30_000,
  /** Pause after a page that did not work out, and between two looks for bulk actions that nobody works at. */
  bulkRetryMs: 1_000,
  /** How often a worker looks whether the pause between two pages is over. */
  bulkPollMs: 50,
  /** How long one that is over can be read with its counts. */
  bulkKeepMs: 7 * 24 * 3_600_000,
  /** Longest `Prefer: wait`, in seconds. */
  preferWaitSecondsMax: 60,
  /** Task types with metric series of their own; further ones share the series `other`. */
  metricTypesMax: 200,
  listLimitDefault: 50,
  listLimitMax: 500,
  queryLengthMax: 4_096,
  /** Records of one actor that a replay takes, and how many of them before it lets others run. */
  replayRecordsMax: 20_000,
  replaySliceEntries: 100,
  /** How long counts of lists and charts are taken as they are, however many pages ask. */
  activityCacheMs: 5_000,
  sseClientsMax: 500,
  sseHeartbeatMs: 15_000,
  sseTicketTtlMs: 60_000,
  /** Journal entries that wait while a stream catches up, and bytes that a client may leave unread. */
  sseHeldEntriesMax: 10_000,
  sseBufferedBytesMax: 1024 * 1024,
  /** For a whole request to arrive; its headers have half of it. */
  requestTimeoutMs: 30_000,
  keepAliveMs: 5_000,
  /** For a client to read why its connection ends; then it ends, whether the client closes it or not. */
  lingerMs: 1_000,
  /** For requests under way when the process stops. */
  drainMs: 5_000,
  /** A shard that has not come round for so long hangs: the watchdog is not fed any more. */
  watchdogReadAgeMs: 30_000,
  /** For systemd to take a message. */
  notifyTimeoutMs: 5_000,
  headerBytesMax: 32 * 1024,
  connectionsMax: 10_000,
  tokenLifetimeSecondsMax: 366 * 24 * 3600,
  tokenLengthMax: 8_192,
  /** Keys that tokens may be signed with at the same time, while they are rotated. */
  tokenKeysMax: 4,
  /** How long the keys of another issuer are used without asking again, and how often it is asked for unknown ones. */
  jwksKeepMs: 600_000,
  jwksFetchesPerMinuteMax: 10,
  clockSkewSeconds: 5,
} as const;

function related(holds: boolean, relation: string): void {
  if (!holds) throw new Error(`config/limits.ts: ${relation} does not hold`);
}

related(limits.balanceEveryMs * 3 < limits.leaseTtlMs, 'three renewals fit in one lease');
related(limits.callDeadlineMs < limits.leaseTtlMs, 'a call ends before the lease does');
related(limits.readBlockMs + limits.readWatchdogMarginMs < limits.leaseTtlMs, 'a read ends before the lease does');
related(limits.watchdogReadAgeMs >= 2 * limits.leaseTtlMs, 'an outage ends leases before it starves the watchdog');
related(
  limits.snapshotBytesMax >= 2 * limits.payloadBytesMax + limits.parentResultsBytesMax + limits.childrenMax * 160,
  'a snapshot holds parameters, a result, results of parents, and addresses of children',
);
related(limits.childrenMax < limits.effectsPerStepMax, 'every child is told in one step');
related(
  limits.snapshotBytesMax >= limits.payloadBytesMax + (limits.scheduleRunningMax + limits.scheduleRecentMax) * 400,
  'a snapshot holds the template of a schedule and its runs',
);
related(limits.scheduleCatchUpMax * 3 < limits.effectsPerStepMax, 'every run that is made up begins in one step');
related(limits.scheduleScanMax > limits.scheduleCatchUpMax, 'what is made up was looked at');
related(limits.scheduleRunningMax <= limits.parentsMax, 'a run that replaces others may wait for all of them');
related(limits.scheduleNameLengthMax + 48 < 100, 'the id of a task names its schedule, its tenant and its time');
related(limits.entryBytesMax >= 2 * limits.snapshotBytesMax, 'an entry holds a task with parameters and result');
related(limits.slotsMax * 3 <= limits.jsonKeysMax, 'a heartbeat names every attempt of the largest agent');
related(limits.requestBytesMax > limits.payloadBytesMax, 'a request holds the largest parameters');
related(limits.batchEnvelopesMax <= limits.commitEntriesMax, 'a full batch fits into one commit');
related(limits.batchEnvelopesMax < limits.commitEnvelopesMax, 'a commit takes more than one full batch');
related(limits.journalAlarmEntries < limits.journalEntriesMax, 'the alarm comes before the stop');
related(limits.shardsDefault <= limits.shardsMax, 'the default number of shards is allowed');
related(
  limits.bulkTasksPerSecondDefault <= limits.bulkTasksPerSecondMax,
  'the default rate of bulk actions is allowed',
);
related(limits.bulkPageEntriesMax <= limits.listLimitMax, 'a page of a bulk action is a page of the list');
related(2 * limits.replyWaitMs < limits.bulkLeaseMs, 'a page is decided before its lease ends');
related(limits.gateEveryMs * 3 < limits.gateForMs, 'gates are prolonged three times before they close');
related(limits.greetAwayMs < limits.greetMs, 'a site that is away is waited for shorter');
related(
  limits.siteTurnMs + limits.greetMs < limits.gateEveryMs,
  'the controller comes round before gates are to be prolonged',
);
