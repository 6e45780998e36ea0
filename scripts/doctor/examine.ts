/** Everything that a site stands on, looked at from outside: nothing is changed, and one thing that fails hides no other. */
import type { Config } from '../../config/schema.ts';
import { failed, ok, type Diagnosis } from './diagnosis.ts';
import { examineFiles } from './files.ts';
import { examinePeer } from './peer.ts';
import { examinePorts } from './ports.ts';
import { examinePostgres } from './postgres.ts';
import { examineRedis } from './redis.ts';

export async function examine(config: Config, now = Date.now()): Promise<Diagnosis[]> {
  const [ports, redis, postgres, peer] = await Promise.all([
    examinePorts(config),
    examineRedis(config),
    examinePostgres(config),
    examinePeer(config),
  ]);
  return [...node(), ...examineFiles(config, now), ...ports, ...redis, ...postgres, ...peer];
}

/** The `engines` of package.json, as far as it matters at run time. */
function node(): Diagnosis[] {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const fits = major > 20 || (major === 20 && minor >= 19);
  return [
    fits
      ? ok('Node', process.versions.node)
      : failed('Node', `${process.versions.node} is too old`, 'install Node 20.19 or newer'),
  ];
}
