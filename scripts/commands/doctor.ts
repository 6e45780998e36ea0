/** `orchestrator doctor`: looks at everything that a site stands on, and says how to mend what is wrong. */
import { parseArgs } from 'node:util';
import type { Diagnosis } from '../doctor/diagnosis.ts';
import { examine } from '../doctor/examine.ts';
import { readSettings } from '../settings.ts';

export const doctorUsage = `  doctor          checks Node, files and their permissions, certificates, ports,
                  Redis and PostgreSQL; changes nothing, says how to mend what is
                  wrong, and ends with 1 when something is
    --json`;

export async function doctorCommand(argv: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      json: { type: 'boolean', default: false },
      config: { type: 'string' },
      set: { type: 'string', multiple: true, default: [] },
    },
  });
  const { config } = readSettings({ file: values.config, set: values.set });
  const findings = await examine(config);
  const failed = findings.filter(({ outcome }) => outcome === 'failed').length;
  const summary = failed === 0 ? 'nothing is wrong' : `${failed} of ${findings.length} are wrong`;
  const text = values.json
    ? JSON.stringify({ healthy: failed === 0, findings })
    : [...findings.map(lineOf), summary].join('\n');
  process.stdout.write(`${text}\n`);
  return failed === 0 ? 0 : 1;
}

function lineOf({ what, outcome, detail, remedy }: Diagnosis): string {
  const line = `${outcome.padEnd(7)}  ${what.padEnd(22)}  ${detail}`;
  return remedy === undefined ? line : `${line}\n         remedy: ${remedy}`;
}
