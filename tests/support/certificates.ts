/** Certificates made with openssl, as an operator would make them. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Issued {
  certificateFile: string;
  keyFile: string;
}

export interface IssueOptions {
  /** Subject alternative names, as `DNS:localhost` or `IP:127.0.0.1`. */
  names?: readonly string[];
  /** Below zero: it has expired. */
  days?: number;
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

const ecKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** A private CA with its files in a folder. */
export class Authority {
  readonly certificateFile: string;
  readonly #folder: string;
  readonly #keyFile: string;

  constructor(folder: string, name: string) {
    this.#folder = folder;
    this.certificateFile = join(folder, `${name}.crt`);
    this.#keyFile = join(folder, `${name}.key`);
    const files = ['-keyout', this.#keyFile, '-out', this.certificateFile];
    openssl('req', '-x509', ...ecKey, ...files, '-days', '2', '-subj', `/CN=${name}`);
  }

  /** Writes `<name>.crt` and `<name>.key` (mode 600), over those that are there. */
  issue(name: string, { names = ['DNS:localhost', 'IP:127.0.0.1'], days = 1 }: IssueOptions = {}): Issued {
    const path = (ending: string): string => join(this.#folder, `${name}.${ending}`);
    openssl('req', ...ecKey, '-keyout', path('key'), '-out', path('csr'), '-subj', `/CN=${name}`);
    writeFileSync(path('ext'), `subjectAltName=${names.join(',')}\n`);
    const authority = ['-CA', this.certificateFile, '-CAkey', this.#keyFile, '-CAcreateserial'];
    const request = ['-in', path('csr'), '-out', path('crt'), '-extfile', path('ext')];
    openssl('x509', '-req', ...request, ...authority, '-days', String(days));
    return { certificateFile: path('crt'), keyFile: path('key') };
  }
}
