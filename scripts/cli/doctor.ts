/** `doctor`: looks at everything that a site stands on, and says how to mend what is wrong. */
import { examine } from '../doctor/examine.ts';
import type { Command } from './command.ts';

const toneOf = { ok: 'good', failed: 'bad', warning: 'busy' } as const;

export const doctorCommand: Command = {
  words: 'doctor',
  summary:
    'checks Node, files and their permissions, certificates, ports, Redis and PostgreSQL; changes nothing, says how to mend what is wrong, and ends with 1 when something is',
  run: async ({ settings, output }) => {
    const findings = await examine(settings());
    const failed = findings.filter(({ outcome }) => outcome === 'failed').length;
    output.show({ healthy: failed === 0, findings }, () => {
      for (const { what, outcome, detail, remedy } of findings) {
        const tone = toneOf[outcome as keyof typeof toneOf];
        output.line(`${output.paint(outcome.padEnd(7), tone)}  ${what.padEnd(22)}  ${detail}`);
        if (remedy !== undefined) output.line(`         remedy: ${remedy}`);
      }
      output.line(failed === 0 ? 'nothing is wrong' : `${failed} of ${findings.length} are wrong`);
    });
    return failed === 0 ? 0 : 1;
  },
};
