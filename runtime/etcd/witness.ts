/**
 * The witness of a pair: a lease of etcd, through its HTTP gateway. The key exists as long as the lease does, and is made only
 * where there is none; its value names whoever has it.
 */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { limits } from '../../config/limits.ts';
import type { Witness } from '../ports.ts';
import { Unavailable } from '../protocol/errors.ts';

export interface EtcdOptions {
  /** Members of one cluster; they are asked in turn until one answers. */
  urls: readonly string[];
  key: string;
  leaseTtlSeconds: number;
  tls?: Pick<RequestOptions, 'ca' | 'cert' | 'key' | 'minVersion'>;
  /** For one call; default: a third of the lease, so that a member that hangs does not cost it. */
  deadlineMs?: number;
}

interface Answer {
  ID?: string;
  succeeded?: boolean;
  result?: { TTL?: string };
  responses?: { response_range?: { kvs?: { value?: string; lease?: string }[] } }[];
}

const answerBytesMax = 64 * 1024;
const base64 = (text: string): string => Buffer.from(text).toString('base64');

export class EtcdWitness implements Witness {
  readonly #options: EtcdOptions;
  #lease: string | undefined;
  /** The member that answered last. */
  #first = 0;

  constructor(options: EtcdOptions) {
    this.#options = options;
  }

  async hold(holder: string): ReturnType<Witness['hold']> {
    if (this.#lease !== undefined && !(await this.#prolong(this.#lease))) this.#lease = undefined;
    this.#lease ??= (await this.#call('/v3/lease/grant', { TTL: this.#options.leaseTtlSeconds })).ID ?? '';
    const key = base64(this.#options.key);
    const { succeeded, responses } = await this.#call('/v3/kv/txn', {
      compare: [{ key, target: 'CREATE', create_revision: 0 }],
      success: [{ requestPut: { key, value: base64(holder), lease: this.#lease } }],
      failure: [{ requestRange: { key } }],
    });
    const [there] = responses?.[0]?.response_range?.kvs ?? [];
    if (succeeded === true || there?.lease === this.#lease) return { outcome: 'held' };
    return { outcome: 'taken', holder: Buffer.from(there?.value ?? '', 'base64').toString() };
  }

  async release(): Promise<void> {
    const lease = this.#lease;
    this.#lease = undefined;
    if (lease !== undefined) await this.#call('/v3/lease/revoke', { ID: lease });
  }

  async #prolong(lease: string): Promise<boolean> {
    const { result } = await this.#call('/v3/lease/keepalive', { ID: lease });
    return Number(result?.TTL ?? 0) > 0;
  }

  async #call(path: string, body: object): Promise<Answer> {
    const { urls } = this.#options;
    let failure: unknown;
    for (let tried = 0; tried < urls.length; tried++) {
      const index = (this.#first + tried) % urls.length;
      try {
        const answer = await this.#post(new URL(path, urls[index]), JSON.stringify(body));
        this.#first = index;
        return answer;
      } catch (error) {
        failure = error;
      }
    }
    const detail = failure instanceof Error ? failure.message : String(failure);
    throw new Unavailable('witness', `${path}: ${detail}`, { cause: failure });
  }

  #post(url: URL, body: string): Promise<Answer> {
    const { leaseTtlSeconds, deadlineMs = Math.min(limits.callDeadlineMs, Math.floor((leaseTtlSeconds * 1000) / 3)) } =
      this.#options;
    return new Promise((resolve, reject) => {
      const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
      const sent = send(
        url,
        {
          ...this.#options.tls,
          method: 'POST',
          headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) },
          signal: AbortSignal.timeout(deadlineMs),
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (part: string) => {
            text += part;
            if (text.length > answerBytesMax) response.destroy(new Error('the answer is too long'));
          });
          response.on('error', reject);
          response.on('end', () => {
            if (response.statusCode !== 200) {
              reject(new Error(`etcd answered ${response.statusCode}: ${text.slice(0, 200)}`));
              return;
            }
            try {
              resolve(JSON.parse(text) as Answer);
            } catch {
              reject(new Error('the answer is no JSON'));
            }
          });
        },
      );
      sent.on('error', reject);
      sent.end(body);
    });
  }
}
