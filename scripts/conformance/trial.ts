/** What the kit does to an agent, step by step, and what it makes of the answers. */
import { finals, type Report } from './report.ts';
import { Verdicts, type RuleId, type Verdict } from './rules.ts';
import { Stage, type Registered } from './stage.ts';
import { Subject } from './subject.ts';

export interface TrialOptions {
  command: readonly string[];
  cacheDir: string;
  /** Parameters of the assignments, as JSON: something that the agent can do. */
  parameters: string;
  /** How long each step may take. */
  deadlineMs: number;
  heartbeatMs: number;
  /** Told of each step as it begins. */
  progress?: (step: string) => void;
}

export interface Trial {
  verdicts: Verdict[];
  /** The last that the agent said, where it broke a rule. */
  output: string;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const settleMs = 400;
/** How an attempt may end of which no work was done: a cancellation can overtake its beginning. */
const endsUnbegun: ReadonlySet<string> = new Set(['failed', 'cancelled', 'released']);

export async function conduct(options: TrialOptions): Promise<Trial> {
  const verdicts = new Verdicts();
  const outputs: string[] = [];
  for (const act of [wholeLife, leaving]) {
    const stage = await Stage.open(options);
    const env = { ORCHESTRATOR_API: stage.api, ORCHESTRATOR_TOKEN: stage.token };
    const subject = new Subject(options.command, env);
    try {
      await act(new Acting(stage, subject, verdicts, options));
    } finally {
      await subject.end();
      await stage.close();
    }
    outputs.push(subject.output);
  }
  const all = verdicts.all();
  const broken = all.some(({ outcome }) => outcome === 'broken');
  return { verdicts: all, output: broken ? outputs.filter(Boolean).join('\n') : '' };
}

class Acting {
  #tasks = 0;
  readonly stage: Stage;
  readonly subject: Subject;
  readonly verdicts: Verdicts;
  readonly options: TrialOptions;

  constructor(stage: Stage, subject: Subject, verdicts: Verdicts, options: TrialOptions) {
    this.stage = stage;
    this.subject = subject;
    this.verdicts = verdicts;
    this.options = options;
  }

  step(name: string): void {
    this.options.progress?.(name);
  }

  /** Waits for what is looked for; false when it did not come in time. */
  async until(found: () => boolean | Promise<boolean>, deadlineMs = this.options.deadlineMs): Promise<boolean> {
    const end = performance.now() + deadlineMs;
    for (;;) {
      await this.stage.look();
      if (await found()) return true;
      if (performance.now() > end) return false;
      await pause(30);
    }
  }

  async holds(rule: RuleId, found: () => boolean | Promise<boolean>, detail: () => string): Promise<boolean> {
    const held = await this.until(found);
    if (held) this.verdicts.kept(rule);
    else this.verdicts.broken(rule, this.subject.ended ? `${detail()}; the process has ended` : detail());
    return held;
  }

  name(): { task: string; token: string } {
    const number = String(++this.#tasks);
    return { task: `t-0-kit${number}`, token: `kit-token-${number}` };
  }

  about(token: string): Report[] {
    return this.stage.reports().filter((report) => report.token === token);
  }

  finalsOf(token: string): Report[] {
    return this.about(token).filter(({ kind }) => finals.has(kind));
  }

  /** One assignment from start to end; the rules of every attempt are looked at on the way. */
  async work(more: Record<string, string> = {}): Promise<string> {
    const { task, token } = this.name();
    await this.stage.assign(task, token, this.options.parameters, more);
    await this.ends(task, token);
    return token;
  }

  async ends(task: string, token: string): Promise<boolean> {
    const ended = await this.holds(
      'R9',
      () => this.finalsOf(token).length > 0,
      () => `an assignment was not ended within ${this.options.deadlineMs} ms`,
    );
    if (ended) this.#judge(task, token);
    return ended;
  }

  #judge(task: string, token: string): void {
    const reports = this.about(token);
    const [first] = reports;
    if (first?.kind === 'started') this.verdicts.kept('R8');
    else if (first && !endsUnbegun.has(first.kind))
      this.verdicts.broken('R8', `the first report about an attempt was ${first.kind}`);
    for (const { kind, ...report } of reports) {
      const wrong =
        report.task !== task
          ? `the task ${JSON.stringify(report.task)} in place of ${task}`
          : report.agent !== this.stage.id
            ? `the agent ${JSON.stringify(report.agent)} in place of ${this.stage.id}`
            : report.generation !== this.stage.generation
              ? `the generation ${String(report.generation)} in place of ${this.stage.generation}`
              : undefined;
      if (wrong === undefined) this.verdicts.kept('R7');
      else this.verdicts.broken('R7', `${kind} names ${wrong}`);
    }
  }

  /** After all is said: nothing came twice, nothing is left lying, everything was in form. */
  async review(): Promise<void> {
    await pause(settleMs);
    await this.stage.look();
    const ended = new Map<string, string[]>();
    for (const { kind, token = '' } of this.stage.reports())
      if (finals.has(kind)) ended.set(token, [...(ended.get(token) ?? []), kind]);
    for (const list of ended.values())
      if (list.length > 1) this.verdicts.broken('R9', `an attempt was ended ${list.length} times: ${list.join(', ')}`);
    this.chunks();
    const problems = this.stage.entries.flatMap((entry) => entry.problems);
    if (problems[0] !== undefined) this.verdicts.broken('R10', problems[0]);
    else if (this.stage.reports().length > 0) this.verdicts.kept('R10');
    const [denied] = await this.stage.denied();
    if (denied !== undefined) this.verdicts.broken('R18', `Redis refused: ${denied}`);
    else this.verdicts.kept('R18');
  }

  /** The same number again is a repeat, which does no harm. */
  chunks(): void {
    const counts = new Map<string, number>();
    const over = new Set<string>();
    for (const { kind, token = '', number } of this.stage.reports()) {
      if (finals.has(kind)) over.add(token);
      if (kind !== 'chunk') continue;
      const known = counts.get(token) ?? 0;
      if (over.has(token)) return this.verdicts.broken('R19', 'a chunk came after the end of its attempt');
      if (Number(number) > known + 1)
        return this.verdicts.broken('R19', `chunk ${String(number)} came after chunk ${known}`);
      counts.set(token, Math.max(known, Number(number)));
    }
    this.verdicts.kept('R19');
  }

  /** Waits until the agent has registered once more than `before`, and is heard of as that generation. */
  async registersAgain(rule: RuleId, before: number, why: string): Promise<boolean> {
    const { stage } = this;
    const registered = await this.holds(
      rule,
      () => stage.generation > before,
      () => `it did not register again after ${why}`,
    );
    if (!registered) return false;
    return this.holds(
      rule,
      () => stage.reports().some(({ generation }) => generation === stage.generation),
      () => `after ${why} it registered, and reported nothing as generation ${stage.generation}`,
    );
  }
}

async function wholeLife(acting: Acting): Promise<void> {
  const { stage, subject, verdicts } = acting;
  stage.refusals.push(503);
  acting.step('registration, answered with 503 first');
  const asked = await acting.until(() => stage.registrations.length > 0);
  if (!asked) return verdicts.broken('R1', `no registration came${subject.ended ? '; the process has ended' : ''}`);
  if (await acting.until(() => stage.registrations.length > 1)) verdicts.kept('R2');
  else return verdicts.broken('R2', 'after a registration that was answered with 503 it did not try again');
  const [, { body, authorization }] = stage.registrations as [Registered, Registered];
  if (authorization !== `Bearer ${stage.token}`)
    return verdicts.broken('R1', 'the token of ORCHESTRATOR_TOKEN is not sent as Authorization: Bearer');
  if (typeof body['type'] !== 'string') return verdicts.broken('R1', 'the registration names no type');
  const heard = await acting.holds(
    'R1',
    () => stage.commands.some(([name]) => name === 'XREADGROUP'),
    () => 'it registered, and did not read the inbox that the answer names',
  );
  if (!heard) return;
  const [, ...first] = stage.commands.find(([name]) => name === 'XREADGROUP') ?? [''];
  if (first.at(-1) === '>') verdicts.broken('R3', 'the first XREADGROUP asks for new entries (>)');
  else verdicts.kept('R3');

  acting.step('heartbeats of an idle agent');
  await heartbeats(acting);

  acting.step('an assignment');
  await acting.work();
  acting.step('an assignment that is delivered twice');
  const { task, token } = acting.name();
  await stage.assign(task, token, acting.options.parameters);
  await stage.assign(task, token, acting.options.parameters);
  if (await acting.ends(task, token)) {
    await acting.work();
    await pause(settleMs);
    await stage.look();
    const times = acting.finalsOf(token).length;
    if (times === 1) verdicts.kept('R5');
    else verdicts.broken('R5', `it ended the attempt ${times} times`);
  }
  acting.step('messages and fields that nobody knows');
  await stage.post({ kind: 'weather', forecast: 'rain' });
  const odd = await acting.work({ mood: 'curious' });
  if (acting.finalsOf(odd).length > 0) verdicts.kept('R6');
  else verdicts.broken('R6', 'after a message of an unknown kind it did no assignment');
  acting.step('an assignment that is cancelled');
  const called = acting.name();
  await stage.assign(called.task, called.token, acting.options.parameters);
  await stage.post({ kind: 'cancel', ...called, attempt: '1', reason: 'cancelled' });
  await acting.ends(called.task, called.token);
  await acknowledged(acting);

  acting.step('connections that break');
  await stage.cut();
  const after = await acting.work();
  if (acting.finalsOf(after).length > 0) verdicts.kept('R14');
  else verdicts.broken('R14', 'after its connections were cut it did no assignment');

  acting.step('a heartbeat that is refused');
  let before = stage.generation;
  await stage.post({ kind: 'refused', report: 'heartbeat', task: '', token: '', reason: 'old-generation', detail: '' });
  if (await acting.registersAgain('R12', before, 'a refused heartbeat')) await acting.work();
  acting.step('an account that is taken away');
  before = stage.generation;
  await stage.takeAccountAway();
  if (!(await acting.registersAgain('R13', before, 'its account was taken away'))) return acting.review();
  await acting.work();
  await acknowledged(acting);

  acting.step('drain');
  await stage.post({ kind: 'drain', generation: String(stage.generation) });
  // Two entries in a row may be read at once; the order is what counts.
  const late = acting.name();
  await stage.assign(late.task, late.token, acting.options.parameters);
  if (await acting.ends(late.task, late.token)) {
    const [final] = acting.finalsOf(late.token);
    if (final?.kind === 'released') verdicts.kept('R15');
    else verdicts.broken('R15', `it answered an assignment after drain with ${String(final?.kind)}`);
  }
  await acknowledged(acting);
  acting.step('shutdown');
  await stage.post({ kind: 'shutdown', generation: String(stage.generation) });
  await acting.holds(
    'R16',
    () => subject.ended,
    () => `it still ran ${acting.options.deadlineMs} ms after shutdown`,
  );
  await acting.review();
}

async function heartbeats(acting: Acting): Promise<void> {
  const { stage, verdicts, options } = acting;
  if (
    !(await acting.holds(
      'R11',
      () => stage.entries.length > 0,
      () => 'it sent nothing at all',
    ))
  )
    return;
  const from = stage.entries.length;
  const spanMs = 4 * options.heartbeatMs;
  await pause(spanMs);
  await stage.look();
  // A machine may be busy: half of what is asked for is enough to see that it beats.
  const came = stage.entries.length - from;
  if (came < 2) verdicts.broken('R11', `in ${spanMs} ms, four intervals, it sent ${came} entries`);
}

async function acknowledged(acting: Acting): Promise<void> {
  const { stage } = acting;
  let left = 0;
  await acting.holds(
    'R4',
    async () => (left = await stage.unacknowledged()) === 0,
    () => `${left} messages were not acknowledged`,
  );
}

async function leaving(acting: Acting): Promise<void> {
  const { stage, subject, verdicts } = acting;
  acting.step('SIGTERM');
  if (!(await acting.until(() => stage.entries.length > 0))) return;
  await acting.work();
  subject.signal('SIGTERM');
  await acting.until(() => subject.ended);
  await stage.look();
  if (stage.reports().some(({ kind }) => kind === 'goodbye')) verdicts.kept('R17');
  else verdicts.broken('R17', `${subject.ended ? 'it ended' : 'it did not end'}, and sent no goodbye`);
  await acting.review();
}
