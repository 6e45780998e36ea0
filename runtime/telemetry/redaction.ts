/**
 * Takes secrets out of text that leaves the process: those that are known, word for word and in the encodings of addresses
 * and of JSON, and what looks like one wherever it comes from (tokens, tickets, what stands before the host of an address).
 */

/** Shorter ones would take apart every other word; nobody can hide them. */
const hiddenLengthMin = 4;

const patterns: readonly [RegExp, string][] = [
  // A password may contain "/", "?" and "@": everything up to the last "@" of the word goes.
  [/(\b[a-z][a-z0-9+.-]*:\/\/)[^\s"'\\]*@/gi, '$1[redacted]@'],
  [/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, '[token]'],
  [/([?&](?:ticket|token|password|secret)=)[^&\s"'\\]+/gi, '$1[redacted]'],
];

export class Redaction {
  #known: string[] = [];

  /** From now on these are not shown either. */
  hide(...secrets: readonly string[]): void {
    const forms = secrets
      .filter((secret) => secret.length >= hiddenLengthMin)
      .flatMap((secret) => [
        secret,
        encodeURIComponent(secret),
        encodeURI(secret),
        escaped(secret),
        escaped(escaped(secret)),
      ]);
    // The longest first: one may contain another.
    this.#known = [...new Set([...this.#known, ...forms])].sort((left, right) => right.length - left.length);
  }

  apply(text: string): string {
    let clean = text;
    for (const secret of this.#known) clean = clean.replaceAll(secret, '[redacted]');
    for (const [pattern, instead] of patterns) clean = clean.replace(pattern, instead);
    return clean;
  }
}

/** As it stands inside of a JSON text. */
function escaped(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

/** The password of an address, as it stands there and as it is. */
export function secretsOfAddress(address: string | undefined): string[] {
  const [, password] = /^[a-z]+:\/\/[^:@/?#]*:(.*)@/is.exec(address ?? '') ?? [];
  if (password === undefined) return [];
  try {
    return [password, decodeURIComponent(password)];
  } catch {
    // Badly encoded: it is used as it stands.
    return [password];
  }
}
