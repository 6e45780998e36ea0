/**
 * What README.md says under Troubleshooting, followed on an installed service: each thing is broken, log or doctor say what is
 * wrong, and what they name mends it. Then what operators do while it works. One machine for all tests, in this order.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freshFolder } from '../support/folders.ts';
import { findLogrotate } from '../support/logrotate.ts';
import { installedApi as api, installedCerts as certs, machineLoad } from '../support/machineload.ts';
import { SystemdMachine, whyNoMachine } from '../support/systemd-machine.ts';

const missing = whyNoMachine();
if (missing !== undefined) console.warn(`SKIPPED, troubleshooting is not tested here: ${missing}`);

const service = 'supreme-ai-orchestrator.service';
const redisService = 'supreme-ai-orchestrator-redis.service';
const prefix = '/opt/sutazaiapp';
const manage = `${prefix}/scripts/manage_orchestrator.sh`;

let machine: SystemdMachine;
let folder: string;

const readiness = async (): Promise<string> =>
  (await machine.run('curl', '-s', '-m', '5', '--cacert', `${certs}/ca.crt`, `${api}/readyz`)).out;
const isReady = (): Promise<void> =>
  expect.poll(readiness, { timeout: 90_000, interval: 500 }).toContain('"status":"ready"');
const doctor = async (): Promise<string> => {
  const { code, words } = await machine.run('orchestrator', 'doctor');
  return `${code}: ${words}`;
};
const ask = async (...args: string[]): Promise<string> => {
  const token = await machine.done('orchestrator', 'token', '--scope', 'admin');
  const headers = ['-H', `Authorization: Bearer ${token}`, '-H', 'Content-Type: application/json'];
  return machine.done('curl', '-sf', '--cacert', `${certs}/ca.crt`, ...headers, ...args);
};
const lastWords = (): Promise<string> =>
  machine.shell(`journalctl --no-pager -o cat -n 40 -u ${service}; tail -n 20 ${prefix}/logs/orchestrator.error.log`);

// Booting systemd takes root, name spaces and Debian's PostgreSQL; the reason is printed above.
describe.skipIf(missing !== undefined)('an installed service', { timeout: 240_000 }, () => {
  beforeAll(async () => {
    folder = await freshFolder('troubles');
    machine = await SystemdMachine.boot();
    await machine.done('/srv/source/scripts/install_orchestrator.sh', '--name', 'orchestrator.test');
  }, 240_000);
  afterAll(() => machine?.stop());

  test('right after the installation the doctor finds nothing wrong, and the command line gets in', async () => {
    expect(await doctor()).toMatch(/^0: [\s\S]*nothing is wrong/);
    expect(await machine.done('orchestrator', 'task', 'list')).toBe('no such tasks');
    const { code, words } = await machine.run(manage, 'promote');
    expect([code, words]).toEqual([1, expect.stringMatching(/this site runs alone; .*\[peer\]/)]);
    // An agent that says nothing from here on; the last test but one looks what became of it.
    await ask('-d', '{"id": "silent", "type": "echo"}', `${api}/api/v1/agents`);
  });

  test('has a certificate for each name that was asked for, and one for the other site', async () => {
    await machine.done('openssl', 'verify', '-CAfile', `${certs}/ca.crt`, `${certs}/server.crt`, `${certs}/site.crt`);
    expect(
      await machine.done('openssl', 'x509', '-in', `${certs}/server.crt`, '-noout', '-ext', 'subjectAltName'),
    ).toMatch(/DNS:orchestrator\.test/);
    expect(await machine.shell('curl -sk https://localhost:9090/metrics')).toMatch(
      /orchestrator_certificate_end_timestamp_seconds\{part="server",kind="certificate",site="primary"\} \d/,
    );
  });

  test.each<[what: string, breaks: string, mends: string, log: RegExp, doctor: RegExp | undefined]>([
    [
      'a certificate that is none',
      `cp -p ${certs}/server.crt /srv/kept; echo broken > ${certs}/server.crt`,
      `cp -p /srv/kept ${certs}/server.crt`,
      /server\.crt.*cannot be used for TLS/,
      /server\.crt.*cannot be used for TLS/,
    ],
    [
      'a key that is open to everybody',
      `chmod 644 ${certs}/server.key`,
      'systemd-tmpfiles --create /etc/tmpfiles.d/supreme-ai-orchestrator.conf',
      /server\.key is a private key and open to everybody/,
      /open to everybody/,
    ],
    [
      'a configuration that the service may not read',
      `chmod 600 ${prefix}/config/orchestrator.toml`,
      'systemd-tmpfiles --create /etc/tmpfiles.d/supreme-ai-orchestrator.conf',
      /orchestrator\.toml cannot be read: EACCES/,
      undefined,
    ],
    [
      'a key of the configuration that is misspelt',
      `sed -i 's/^level = /levle = /' ${prefix}/config/orchestrator.toml`,
      `sed -i 's/^levle = /level = /' ${prefix}/config/orchestrator.toml`,
      /levle[\s\S]*did you mean/,
      undefined,
    ],
    [
      'a wrong password of Redis',
      `cp -p ${prefix}/config/secrets/redis.url /srv/kept; sed -i 's#orchestrator:[0-9a-f]*@#orchestrator:wrong@#' ${prefix}/config/secrets/redis.url`,
      `cp -p /srv/kept ${prefix}/config/secrets/redis.url`,
      /WRONGPASS/,
      /WRONGPASS/,
    ],
    [
      'a port that is taken',
      `systemctl stop ${service}; systemd-run --unit=thief ${process.execPath} -e 'require("net").createServer().listen(8000)'; sleep 1`,
      'systemctl stop thief',
      /port 8000 on localhost is taken/,
      undefined,
    ],
  ])('%s', async (_what, breaks, mends, log, said) => {
    await machine.shell(breaks);
    await machine.run('systemctl', 'restart', '--no-block', service);
    await expect.poll(lastWords, { timeout: 90_000, interval: 500 }).toMatch(log);
    if (said) expect(await doctor()).toMatch(new RegExp(`^[^0][\\s\\S]*${said.source}`));
    await machine.shell(mends);
    await machine.run('systemctl', 'restart', service);
    await isReady();
    await machine.shell(
      `: > ${prefix}/logs/orchestrator.error.log; journalctl -q --rotate; journalctl -q --vacuum-time=1s`,
    );
  });

  test.each([
    ['Redis', redisService, /"redis":"down"/, /Redis/],
    ['PostgreSQL', 'postgresql', /"postgres":"down"/, /PostgreSQL/],
  ])(
    '%s stopped: readiness and doctor say so, and started again it is taken up without a hand',
    async (_, unit, seen, said) => {
      const units = unit === 'postgresql' ? "'postgresql@*' postgresql" : unit;
      await machine.shell(`systemctl stop ${units}`);
      await expect.poll(readiness, { timeout: 60_000, interval: 500 }).toMatch(seen);
      expect(await doctor()).toMatch(new RegExp(`^[^0][\\s\\S]*${said.source}`));
      await machine.shell(`systemctl start ${unit}`);
      await isReady();
    },
  );

  test('the disk of Redis is full: submits are refused, the doctor says where, and with room it goes on by itself', async () => {
    const data = `${prefix}/data/redis`;
    const submit = (): Promise<string> => ask('-d', '{"type": "rare"}', `${api}/api/v1/tasks`).catch(() => 'refused');
    await machine.shell(`systemctl stop ${service} ${redisService}; cp -a ${data} /srv/redis
      mount -t tmpfs -o size=24m,mode=700,uid=$(stat -c %u ${data}),gid=$(stat -c %g ${data}) none ${data}
      cp -a /srv/redis/. ${data}/; systemctl start ${redisService} ${service}`);
    await isReady();
    expect(await submit()).toContain('"status":"queued"');
    await machine.shell(`dd if=/dev/zero of=${data}/filler bs=64k 2> /dev/null || true`);
    await expect.poll(submit).toBe('refused');
    expect(await machine.shell(`journalctl --no-pager -o cat -n 60 -u ${redisService}`)).toMatch(
      /Short write|No space/,
    );
    expect(await doctor()).toMatch(/^1: [\s\S]*failed +disk +0 MiB free .*data\/redis\n +remedy: free space/);
    await machine.shell(`rm ${data}/filler`);
    await isReady();
    await expect.poll(submit).toContain('"status":"queued"');
    await machine.shell(`systemctl stop ${service} ${redisService}; cp -a ${data}/. /srv/redis/; umount ${data}
      cp -a /srv/redis/. ${data}/; systemctl start ${redisService} ${service}`);
    await isReady();
    expect(await machine.done('orchestrator', 'task', 'list', '--type', 'rare')).toMatch(/(t-\d+-\S+[\s\S]*){2}/);
  });

  test('the network is away: the doctor says what cannot be reached, and afterwards it is taken up without a hand', async () => {
    await machine.shell('ip link set lo down; sleep 3');
    expect(await readiness()).toBe('');
    expect(await doctor()).toMatch(/^1: [\s\S]*failed +Redis/);
    await machine.shell('ip link set lo up');
    await isReady();
  });

  test('log files are rotated, and lines go on in the new ones', async () => {
    const logrotate = await findLogrotate();
    if ('missing' in logrotate) throw new Error(`no logrotate: ${logrotate.missing}`);
    await machine.shell(`${logrotate.command} -f -s /srv/rotated /etc/logrotate.d/supreme-ai-orchestrator`);
    const [now, before] = await Promise.all(
      ['orchestrator.log', 'orchestrator.log.1'].map((file) => machine.shell(`cat ${prefix}/logs/${file}`)),
    );
    expect(before).toContain('"msg":"ready"');
    expect(now).not.toContain('"msg":"ready"');
    await machine.shell(`${manage} reload`);
    await expect.poll(() => machine.shell(`cat ${prefix}/logs/orchestrator.log`)).toContain('"msg":"reloaded"');
    expect(await machine.shell(`cat ${prefix}/logs/orchestrator.log.1`)).toBe(before);
  });

  test('a certificate changes under load, and no request fails', async () => {
    const running = await machineLoad(machine, folder);
    const serial = (): Promise<string> =>
      machine.shell(
        `openssl s_client -connect localhost:8000 -CAfile ${certs}/ca.crt < /dev/null 2> /dev/null | openssl x509 -noout -serial`,
      );
    const former = await serial();
    await machine.shell(`cd ${certs}; openssl x509 -x509toreq -in server.crt -signkey server.key -copy_extensions copyall -out /srv/csr
      openssl x509 -req -in /srv/csr -CA ca.crt -CAkey ca.key -set_serial 77 -days 30 -copy_extensions copyall -out /srv/new.crt
      cat /srv/new.crt > server.crt; ${manage} reload`);
    await expect.poll(serial, { timeout: 60_000, interval: 500 }).not.toBe(former);
    const { accepted, distinct, refused, repeats, open } = await running.end();
    expect([distinct, refused, repeats, open]).toEqual([accepted, [], 0, []]);
    expect(accepted).toBeGreaterThan(0);
  });

  test('backup and restore by the managing script bring tasks back', async () => {
    const folder = `${prefix}/data/backups/one`;
    expect((await machine.run(manage, 'logs', '-n', '5')).code).toBe(0);
    await machine.done(manage, 'backup', folder);
    await machine.done(manage, 'stop');
    await machine.done(manage, 'restore', folder, '--force');
    await machine.done(manage, 'start');
    const token = await machine.done('orchestrator', 'token', '--scope', 'read');
    const status = await machine.done(
      ...['curl', '-s', '--cacert', `${certs}/ca.crt`, '-H', `Authorization: Bearer ${token}`, `${api}/api/v1/status`],
    );
    expect((JSON.parse(status) as { tasks: Record<string, number> }).tasks['succeeded']).toBeGreaterThan(0);
  });

  test('an agent that does not respond is lost, and the list says since when', async () => {
    const list = (): Promise<string> => machine.done('orchestrator', 'agent', 'list');
    await expect.poll(list, { timeout: 90_000, interval: 1_000 }).toMatch(/silent.* lost/i);
  });

  test('without systemd: the same script manages it through pid files', async () => {
    await machine.shell(`systemctl stop ${service} ${redisService}`);
    // systemd is there, and nothing shows it.
    const without = async (script: string): Promise<string> => {
      const hidden = `mount -t tmpfs none /run/systemd; manage=${manage}; ${script}`;
      const { code, words } = await machine.run('unshare', '-m', '--propagation', 'private', 'bash', '-c', hidden);
      return `${code}: ${words}`;
    };
    expect(await without('$manage status')).toMatch(/^3: orchestrator does not run\nredis does not run/);
    expect(await without('$manage reload')).toMatch(/^1: FAILED: it does not run\n {2}mend it: .* start/);
    expect(await without('$manage start')).toMatch(/^0: started, process \d+/);
    await isReady();
    expect(await without('$manage start')).toMatch(/^0: runs already, process \d+/);
    expect(await without('$manage status')).toMatch(/^0: orchestrator runs, process \d+\nredis runs, process \d+/);
    expect(await without('$manage reload')).toMatch(/^0: reloaded/);
    expect(await without('$manage logs -n 3')).toContain('"msg":"reloaded"');
    expect(await without('$manage stop')).toMatch(/^0: stopped/);
    // A number from before the last boot may be any program's by now.
    expect(
      await without('echo 1 > /run/supreme-ai-orchestrator/orchestrator.pid; $manage stop; $manage status'),
    ).toMatch(/^3: stopped\norchestrator does not run/);
    expect(await without('$manage start; $manage restart')).toMatch(/^0: started.*\nstopped\nstarted/);
    await isReady();
    expect(await without('$manage stop')).toMatch(/^0: stopped/);
    await machine.shell(`systemctl start ${redisService} ${service}`);
    await isReady();
  });
});
