/**
 * What README.md says under Troubleshooting, followed on an installed service: each thing is broken, log or doctor say what is
 * wrong, and what they name mends it. Then what operators do while it works. One machine for all tests, in this order.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freshFolder } from '../support/folders.ts';
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
});
