import { registrationAt, type RegistrationOutcome } from './registration.ts';

/** Which site of a pair has an agent now: the active one knows its registration, a standby says that it is none. */
export class Whereabouts {
  readonly #apis: readonly string[];
  readonly #token: string;
  readonly #id: string;
  /** The one that was active when this was last looked at. */
  #last = 0;

  constructor(apis: readonly string[], token: string, id: string) {
    this.#apis = apis;
    this.#token = token;
    this.#id = id;
  }

  /** @returns undefined where no site says that it is active: it may be asked again in a moment */
  async look(): Promise<Exclude<RegistrationOutcome, { outcome: 'unavailable' }> | undefined> {
    for (let tries = 0; tries < this.#apis.length; tries++) {
      const at = (this.#last + tries) % this.#apis.length;
      const answer = await registrationAt(this.#apis[at]!, this.#token, this.#id);
      if (answer.outcome === 'unavailable') continue;
      this.#last = at;
      return answer;
    }
    return undefined;
  }
}
