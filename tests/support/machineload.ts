/** Load on the installed service of a machine: an agent, and a client that repeats every submit until it is accepted. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { SystemdMachine } from './systemd-machine.ts';

export const installedApi = 'https://localhost:8000';
export const installedCerts = '/opt/sutazaiapp/config/certs';

export interface MachineLoad {
  /** Ends the load and waits until every accepted task is settled. */
  end(): Promise<{
    accepted: number;
    distinct: number;
    refused: number[];
    repeats: number;
    open: string[][];
    why?: unknown;
  }>;
}

/**
 * @param folder where the certificate of the CA is put for the client
 * @param api of a pair both, with a comma between
 */
export async function machineLoad(machine: SystemdMachine, folder: string, api = installedApi): Promise<MachineLoad> {
  const ca = join(folder, 'ca.crt');
  writeFileSync(ca, await machine.done('cat', `${installedCerts}/ca.crt`));
  const token = await machine.done('orchestrator', 'token', '--scope', 'admin');
  const client = machine.client('tests/support/serviceload.js', {
    API: api,
    TOKEN: token,
    NODE_EXTRA_CA_CERTS: ca,
  });
  const lines = createInterface({ input: client.stdout! })[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.value !== 'running') throw new Error(`the load did not start: ${String(first.value)}`);
  return {
    end: async () => {
      client.stdin!.end();
      const { value } = await lines.next();
      if (client.exitCode === null) await once(client, 'exit');
      return JSON.parse(String(value)) as Awaited<ReturnType<MachineLoad['end']>>;
    },
  };
}
