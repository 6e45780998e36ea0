/** The numbered rules of scripts/agents/README.md that can be seen from outside, by the number under which the page has them. */
export const rules = {
  R1: ['MUST', 'registers with its type and a bearer token, and uses what the answer names'],
  R2: ['SHOULD', 'tries again when the registration is answered with 409, 429 or 503'],
  R3: ['MUST', 'reads its pending entries first, then new ones'],
  R4: ['MUST', 'acknowledges every message'],
  R5: ['MUST', 'does an assignment once that is delivered twice'],
  R6: ['SHOULD', 'passes over fields and kinds that it does not know'],
  R7: ['MUST', 'names itself, its generation, the task and the token in every report about an attempt'],
  R8: ['MUST', 'reports started before anything else about an attempt'],
  R9: ['MUST', 'ends each attempt with exactly one of completed, failed, cancelled, released'],
  R10: ['MUST', 'writes kinds and values as the page has them'],
  R11: ['MUST', 'sends something in every heartbeat interval, and names what runs in its heartbeats'],
  R12: ['MUST', 'registers again when a heartbeat is refused, and reports as the new generation'],
  R13: ['MUST', 'registers again when Redis takes its account away'],
  R14: ['MUST', 'goes on when its connection breaks'],
  R15: ['MUST', 'gives back what is assigned after drain'],
  R16: ['MUST', 'exits after shutdown'],
  R17: ['SHOULD', 'says goodbye when it is stopped with SIGTERM'],
  R18: ['MUST', 'needs no right in Redis beyond its inbox and its outbox'],
  R19: ['MUST', 'numbers the chunks of an attempt from 1 without gaps, and reports them before its end'],
} as const satisfies Record<string, readonly ['MUST' | 'SHOULD', string]>;

export type RuleId = keyof typeof rules;
export const ruleIds = Object.keys(rules) as RuleId[];

export interface Verdict {
  rule: RuleId;
  level: 'MUST' | 'SHOULD';
  text: string;
  /** `untested` where the agent gave no occasion, or an earlier failure took it away. */
  outcome: 'kept' | 'broken' | 'untested';
  /** What was seen, where the rule was broken. */
  detail?: string;
}

/** Collects what was seen; the first breach of a rule is the one that is told. */
export class Verdicts {
  readonly #kept = new Set<RuleId>();
  readonly #broken = new Map<RuleId, string>();

  kept(rule: RuleId): void {
    this.#kept.add(rule);
  }

  broken(rule: RuleId, detail: string): void {
    if (!this.#broken.has(rule)) this.#broken.set(rule, detail.slice(0, 500));
  }

  all(): Verdict[] {
    return ruleIds.map((rule) => {
      const [level, text] = rules[rule];
      const detail = this.#broken.get(rule);
      const outcome = detail !== undefined ? 'broken' : this.#kept.has(rule) ? 'kept' : 'untested';
      return { rule, level, text, outcome, ...(detail !== undefined && { detail }) };
    });
  }
}
