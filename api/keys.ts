/**
 * Keys that tokens may be signed with: a fixed set, each under an id that the header of a token may name (`kid`). Several
 * hold at the same time while keys are rotated; another key than these is never fetched because a token asks for it.
 */
import { createHash, createPublicKey, createSecretKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { limits } from '../config/limits.ts';
import type { Log } from '../runtime/ports.ts';
import { Unavailable } from '../runtime/protocol/errors.ts';
import { isObject } from '../runtime/protocol/json.ts';

export type SigningAlgorithm = 'HS256' | 'RS256' | 'ES256';

export interface TokenKeys {
  /** The one algorithm that is taken. */
  readonly algorithm: SigningAlgorithm;
  /**
   * Keys that may have signed a token.
   * @param id what its header names; undefined when it names none
   * @throws Unavailable when the keys of another server cannot be had
   */
  find(id: unknown): Promise<readonly KeyObject[]>;
}

interface NamedKey {
  id: string;
  key: KeyObject;
}

/** @throws Error with what is wrong, when there is no key or one that cannot be used */
export function fixedKeys(algorithm: SigningAlgorithm, keys: readonly NamedKey[]): TokenKeys {
  if (keys.length === 0 || keys.length > limits.tokenKeysMax)
    throw new Error(
      `there are ${keys.length} keys that tokens may be signed with; 1 to ${limits.tokenKeysMax} are taken`,
    );
  for (const { key } of keys) checkKey(algorithm, key);
  return {
    algorithm,
    find: (id) => Promise.resolve(keys.filter((one) => id === undefined || one.id === id).map(({ key }) => key)),
  };
}

/** Secrets of HS256; the first one signs. */
export function secretKeys(secrets: readonly string[]): TokenKeys {
  return fixedKeys(
    'HS256',
    secrets.map((secret) => ({ id: secretId(secret), key: createSecretKey(Buffer.from(secret)) })),
  );
}

/** Names a secret without telling it. */
export function secretId(secret: string): string {
  return createHash('sha256').update(`kid:${secret}`).digest('hex').slice(0, 16);
}

/** One or several PEM blocks; their ids are the thumbprints of RFC 7638. */
export function pemKeys(algorithm: SigningAlgorithm, pem: string): TokenKeys {
  const blocks = pem.match(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----/g) ?? [];
  return fixedKeys(
    algorithm,
    blocks.map((block) => {
      const key = createPublicKey(block);
      return { id: thumbprint(key), key };
    }),
  );
}

/** A JSON Web Key Set, RFC 7517: the keys in it that are named and made for this algorithm. */
export function jwksKeys(algorithm: SigningAlgorithm, json: string): TokenKeys {
  const set: unknown = JSON.parse(json);
  const members = isObject(set) && Array.isArray(set['keys']) ? (set['keys'] as unknown[]) : [];
  const usable = members.filter(
    (member): member is JsonWebKey & { kid: string } =>
      isObject(member) &&
      typeof member['kid'] === 'string' &&
      member['kty'] === (algorithm === 'RS256' ? 'RSA' : 'EC') &&
      (member['use'] ?? 'sig') === 'sig' &&
      (member['alg'] ?? algorithm) === algorithm,
  );
  return fixedKeys(
    algorithm,
    usable.map((member) => ({ id: member.kid, key: createPublicKey({ key: member, format: 'jwk' }) })),
  );
}

/** The key set of an issuer, fetched when a token first names one of its keys. The address is ours, never the token's. */
export function remoteKeys(algorithm: SigningAlgorithm, jwksUri: string): TokenKeys {
  let client: Promise<{ getSigningKey(id: string): Promise<{ getPublicKey(): string }> }> | undefined;
  return {
    algorithm,
    find: async (id) => {
      if (typeof id !== 'string' || id.length === 0 || id.length > limits.nameLengthMax) return [];
      client ??= import('jwks-rsa').then(({ JwksClient }) => {
        const fetching = { cache: true, cacheMaxAge: limits.jwksKeepMs, timeout: limits.callDeadlineMs };
        return new JwksClient({
          jwksUri,
          ...fetching,
          rateLimit: true,
          jwksRequestsPerMinute: limits.jwksFetchesPerMinuteMax,
        });
      });
      try {
        const key = createPublicKey((await (await client).getSigningKey(id)).getPublicKey());
        checkKey(algorithm, key);
        return [key];
      } catch (error) {
        // Both mean that the issuer answered, lately enough, and has no such key.
        if (error instanceof Error && /^(SigningKeyNotFound|JwksRateLimit)Error$/.test(error.name)) return [];
        throw new Unavailable('jwks', error instanceof Error ? error.message : String(error), { cause: error });
      }
    },
  };
}

/** Fewer characters could be guessed. */
export const secretLengthMin = 32;

const lookEveryMs = 1_000;

/**
 * Keys in a file that may change: looked at again at most once a second, so that a rotation needs no restart. What cannot
 * be used is reported, and the former keys hold on.
 * @throws Error when the file cannot be used at the start
 */
export function watchedKeys(
  path: string,
  parse: (text: string) => TokenKeys,
  { log, monotonicMs }: { log: Log; monotonicMs: () => number },
): TokenKeys {
  const stamp = (): string => {
    const { mtimeMs, size, ino } = statSync(path);
    return `${mtimeMs}/${size}/${ino}`;
  };
  let seen = stamp();
  let keys = parse(readFileSync(path, 'utf8'));
  let lookedAtMs = monotonicMs();
  const look = (): void => {
    try {
      const now = stamp();
      if (now === seen) return;
      seen = now;
      keys = parse(readFileSync(path, 'utf8'));
      log.info({ path }, 'the keys that tokens are signed with have changed');
    } catch (error) {
      log.error({ path, error: error instanceof Error ? error.message : String(error) }, 'keys of tokens not usable');
    }
  };
  return {
    get algorithm() {
      return keys.algorithm;
    },
    find: (id) => {
      if (monotonicMs() - lookedAtMs >= lookEveryMs) {
        lookedAtMs = monotonicMs();
        look();
      }
      return keys.find(id);
    },
  };
}

function checkKey(algorithm: SigningAlgorithm, key: KeyObject): void {
  const details = key.asymmetricKeyDetails;
  const fits = {
    HS256: () => key.type === 'secret' && (key.symmetricKeySize ?? 0) >= secretLengthMin,
    RS256: () => key.asymmetricKeyType === 'rsa' && (details?.modulusLength ?? 0) >= 2_048,
    ES256: () => key.asymmetricKeyType === 'ec' && details?.namedCurve === 'prime256v1',
  }[algorithm];
  const wanted = {
    HS256: `secrets of ${secretLengthMin} characters or more`,
    RS256: 'public RSA keys of 2,048 bits or more',
    ES256: 'public keys on the curve P-256',
  }[algorithm];
  if (!fits()) throw new Error(`${algorithm} needs ${wanted}`);
}

function thumbprint(key: KeyObject): string {
  const { kty, e, n, crv, x, y } = key.export({ format: 'jwk' });
  const members = kty === 'RSA' ? { e, kty, n } : { crv, kty, x, y };
  return createHash('sha256').update(JSON.stringify(members)).digest('base64url');
}
