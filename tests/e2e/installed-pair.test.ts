/**
 * Two machines with a cable between them: a pair is installed as README.md says, what it names under Troubleshooting is broken
 * and mended, and the places are changed under load. One pair for all tests, in this order.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freshFolder } from '../support/folders.ts';
import { machineLoad } from '../support/machineload.ts';
import { SystemdMachine, whyNoMachine } from '../support/systemd-machine.ts';

const missing = whyNoMachine();
if (missing !== undefined) console.warn(`SKIPPED, an installed pair is not tested here: ${missing}`);

const install = '/srv/source/scripts/install_orchestrator.sh';
const prefix = '/opt/sutazaiapp';
const service = 'supreme-ai-orchestrator';
const [oneAddress, twoAddress] = ['10.77.0.1', '10.77.0.2'];
const [oneApi, twoApi] = [`https://${oneAddress}:8000`, `https://${twoAddress}:8010`];

let one: SystemdMachine;
let two: SystemdMachine;
let folder: string;

/** Role, link and lag of both sites, as this one shows them. */
async function status(machine: SystemdMachine): Promise<Record<string, Record<string, unknown>>> {
  const { code, out } = await machine.run('orchestrator', 'site', 'status', '--json');
  if (code !== 0) return {};
  const { sites } = JSON.parse(out) as { sites: Record<string, unknown>[] };
  return Object.fromEntries(sites.map((site) => [String(site['site']), site]));
}
const ofSelf = async (machine: SystemdMachine): Promise<Record<string, unknown>> =>
  Object.values(await status(machine)).find((site) => site['self'] === true) ?? {};
const roles = async (machine: SystemdMachine): Promise<unknown[]> => {
  const { primary, secondary } = await status(machine);
  return [primary?.['role'], secondary?.['role']];
};
const bring = async (name: string, from: SystemdMachine, to: SystemdMachine): Promise<unknown> =>
  to.shell(`base64 -d > /srv/${name} << 'END'\n${await from.done('base64', `${prefix}/config/pair/${name}`)}\nEND`);
const patience = { timeout: 60_000, interval: 500 };
const caughtUp = (): Promise<void> =>
  expect.poll(() => ofSelf(two), patience).toMatchObject({ role: 'standby', link: 'streaming', lag_entries: 0 });
const doctor = async (machine: SystemdMachine): Promise<string> => {
  const { code, words } = await machine.run('orchestrator', 'doctor');
  return `${code}: ${words}`;
};

// Booting systemd takes root, name spaces and Debian's PostgreSQL; the reason is printed above.
describe.skipIf(missing !== undefined)('an installed pair', { timeout: 240_000 }, () => {
  beforeAll(async () => {
    folder = await freshFolder('installed-pair');
    [one, two] = await Promise.all([SystemdMachine.boot(), SystemdMachine.boot()]);
    await SystemdMachine.link([one, oneAddress], [two, twoAddress]);
  }, 120_000);
  afterAll(async () => {
    await one?.stop();
    await two?.stop();
  });

  test('wrong words to the installer change nothing and say what is meant', async () => {
    const refused = async (...options: string[]): Promise<string> => {
      const { code, words } = await one.run(install, ...options);
      return `${code}: ${words}`;
    };
    expect(await refused('--peer', twoAddress)).toMatch(
      /^2: FAILED: --peer needs the address at which .*\n.*--agents-address/,
    );
    expect(await refused('--peer', 'other')).toMatch(/^2: FAILED: --peer other is no IP address/);
    expect(await refused('--peer', oneAddress, '--agents-address', oneAddress)).toMatch(/^2: .* is this site itself/);
    expect(await refused('--join', '/srv/none.tar')).toMatch(/^2: FAILED: .*none.tar cannot be read/);
    expect(await refused('--join', '/srv/source/package.json')).toMatch(
      /^2: FAILED: .* (?:cannot be read|is not what)/,
    );
    expect((await one.run('ls', prefix)).code).not.toBe(0);
  });

  test('the first one serves before there is a second one', async () => {
    const { words } = await one.run(install, '--agents-address', oneAddress, '--peer', twoAddress);
    expect(words).toContain(`bring ${prefix}/config/pair/join.tar there`);
    await expect.poll(() => roles(one), patience).toEqual(['active', null]);
    expect(await doctor(one)).toMatch(/^1: [\s\S]*failed +other site[\s\S]*look at the network/);
    expect(await one.shell(`stat -c '%a %U' ${prefix}/config/pair ${prefix}/config/pair/*`)).toMatch(
      /^700 root(\n600 root){2}$/,
    );
  });

  test('the second one is installed from one file, follows, and both doctors find nothing wrong', async () => {
    await bring('join.tar', one, two);
    await two.done(install, '--join', '/srv/join.tar');
    await caughtUp();
    expect(await roles(one)).toEqual(['active', 'standby']);
    expect(await doctor(one)).toMatch(/^0: [\s\S]*ok +other site +standby[\s\S]*nothing is wrong/);
    expect(await doctor(two)).toMatch(/^0: [\s\S]*ok +other site +active[\s\S]*nothing is wrong/);
  });

  test('the user of the other site reads what is mirrored, and nothing else', async () => {
    const as = (command: string): Promise<string> =>
      two.shell(`REDISCLI_AUTH=$(sed 's#.*peer:\\(.*\\)@.*#\\1#' ${prefix}/config/secrets/peer.redis) redis-cli --no-auth-warning --user peer \\
        --tls --cacert ${prefix}/config/certs/ca.crt -h ${oneAddress} -p 6390 ${command}`);
    expect(await as('XLEN {s0}:journal')).toMatch(/^\d+$/);
    for (const command of [
      'SET {s0}:lease x',
      'GET agents',
      'ACL LIST',
      'FLUSHALL',
      'CONFIG GET dir',
      'EVAL "return 1" 0',
    ])
      expect(await as(command)).toMatch(/^NOPERM/);
  });

  const faults: [string, { break: string; mend: string; link: string; says: RegExp; refusal?: string }][] = [
    [
      'the network is cut',
      {
        break: 'ip link set cable down',
        mend: 'ip link set cable up',
        link: 'disconnected',
        says: /failed +other site[\s\S]*look at the network between the two/,
      },
    ],
    [
      'the CA is not the one of the other site',
      {
        break: `cp -a ${prefix}/config/certs/ca.crt /srv/ca.crt
          openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -subj /CN=other -days 9 -out /srv/other.crt
          sed -i s#PEER__CA_FILE=.*#PEER__CA_FILE=${prefix}/config/certs/other.crt# ${prefix}/config/orchestrator.env
          install -m 600 -o orchestrator /srv/other.crt ${prefix}/config/certs/other.crt; systemctl restart ${service}`,
        mend: `sed -i s#PEER__CA_FILE=.*#PEER__CA_FILE=${prefix}/config/certs/ca.crt# ${prefix}/config/orchestrator.env; systemctl restart ${service}`,
        link: 'refused',
        says: /failed +other site +.*certificate[\s\S]*authority that signed the certificate of the other site/,
        refusal: 'untrusted',
      },
    ],
    [
      'the password is wrong',
      {
        break: `cp -a ${prefix}/config/secrets/peer.redis /srv/peer.redis
          sed -i 's#peer:[^@]*@#peer:wrong@#' ${prefix}/config/secrets/peer.redis; systemctl restart ${service}`,
        mend: `cp -a /srv/peer.redis ${prefix}/config/secrets/peer.redis; systemctl restart ${service}`,
        link: 'refused',
        says: /failed +other site +.*WRONGPASS[\s\S]*check user and password in \[peer\] redis/,
        refusal: 'not-allowed',
      },
    ],
    [
      'it is set to another deployment',
      {
        break: `sed -i s#DEPLOYMENT=#DEPLOYMENT=x# ${prefix}/config/orchestrator.env; systemctl restart ${service}`,
        mend: `sed -i s#DEPLOYMENT=x#DEPLOYMENT=# ${prefix}/config/orchestrator.env; systemctl restart ${service}`,
        link: 'refused',
        says: /failed +other site +other-deployment[\s\S]*correct the address of the peer/,
        refusal: 'other-deployment',
      },
    ],
  ];
  test.each(faults)('%s: the standby and its doctor say so, and it goes on when that is mended', async (_, fault) => {
    await two.shell(fault.break);
    try {
      await expect
        .poll(() => ofSelf(two), patience)
        .toMatchObject({ link: fault.link, ...(fault.refusal && { refusal: { name: fault.refusal } }) });
      expect(await two.done('orchestrator', 'site', 'status')).toContain(fault.refusal ?? fault.link);
      expect(await doctor(two)).toMatch(fault.says);
    } finally {
      await two.shell(fault.mend);
    }
    await caughtUp();
  });

  test('places change under load, and nothing is lost; the same command brings them back', async () => {
    const running = await machineLoad(one, folder, `${oneApi},${twoApi}`);
    await one.done(`${prefix}/scripts/manage_orchestrator.sh`, 'backup', `${prefix}/data/backups/before`);
    await one.done('orchestrator', 'site', 'switchover');
    await expect.poll(() => roles(two), patience).toEqual(['standby', 'active']);
    await two.done('orchestrator', 'site', 'switchover');
    await expect.poll(() => roles(one), patience).toEqual(['active', 'standby']);
    const { accepted, distinct, refused, open, why } = await running.end();
    expect([distinct, refused, open], JSON.stringify(why)).toEqual([accepted, [], []]);
    expect(accepted).toBeGreaterThan(0);
    await caughtUp();
  });

  test('an upgrade without options keeps the pair, and the standby follows again', async () => {
    for (const machine of [two, one]) {
      const conf = await machine.done('cat', `${prefix}/config/pair/pair.conf`, `${prefix}/config/orchestrator.env`);
      await machine.done(install);
      expect(await machine.done('cat', `${prefix}/config/pair/pair.conf`, `${prefix}/config/orchestrator.env`)).toBe(
        conf,
      );
    }
    await caughtUp();
  });

  test('the active machine is lost: the other one is promoted by hand, and takes tasks', async () => {
    // Ended at once, the machine would take the cable with its address along.
    await one.shell('ip link set cable down');
    const { words } = await two.run('orchestrator', 'site', 'force-promote');
    expect(words).toMatch(/becomes a branch that lost.*--yes/);
    await two.done('orchestrator', 'site', 'force-promote', '--yes');
    await expect.poll(() => roles(two), patience).toEqual([null, 'active']);
    expect(await two.done('orchestrator', 'submit', 'echo')).toMatch(/t-\d+-/);
    await one.stop();
  });

  test('a new machine takes the place of the lost one', async () => {
    one = await SystemdMachine.boot();
    await SystemdMachine.link([one, oneAddress], [two, twoAddress]);
    await two.done(install, '--peer', oneAddress);
    await bring('join.tar', two, one);
    await one.done(install, '--join', '/srv/join.tar');
    await expect.poll(() => roles(one), patience).toEqual(['standby', 'active']);
    await expect.poll(() => ofSelf(one), patience).toMatchObject({ link: 'streaming', lag_entries: 0 });
    expect(await doctor(one)).toMatch(/^0: /);
  });
});
