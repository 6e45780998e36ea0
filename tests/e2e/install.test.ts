/**
 * The installed service on a machine with systemd: installed by the script, killed, stopped and upgraded under load, taken
 * back when a release is bad, removed. One machine for all tests, in this order.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freshFolder } from '../support/folders.ts';
import { installedApi as api, installedCerts as certs, machineLoad } from '../support/machineload.ts';
import { SystemdMachine, whyNoMachine } from '../support/systemd-machine.ts';

const missing = whyNoMachine();
if (missing !== undefined) console.warn(`SKIPPED, the installation is not tested here: ${missing}`);

const service = 'supreme-ai-orchestrator.service';
const script = '/srv/source/scripts/install_orchestrator.sh';

let machine: SystemdMachine;
let folder: string;

const install = (...options: string[]): Promise<{ code: number; words: string; out: string }> =>
  machine.run(script, ...options);
const show = (property: string): Promise<string> => machine.done('systemctl', 'show', '-P', property, service);
const readiness = async (): Promise<string> =>
  (await machine.run('curl', '-s', '--cacert', `${certs}/ca.crt`, `${api}/readyz`)).out;

// Booting systemd takes root, name spaces and Debian's PostgreSQL; the reason is printed above.
describe.skipIf(missing !== undefined)('the installed service', { timeout: 240_000 }, () => {
  beforeAll(async () => {
    folder = await freshFolder('install');
    machine = await SystemdMachine.boot();
  }, 120_000);
  afterAll(() => machine?.stop());

  test('what the machine lacks is named at once, with its remedy, and nothing is changed', async () => {
    const { code, words } = await machine.run(
      'env',
      'PATH=/srv/few',
      '/bin/bash',
      '-c',
      `
      PATH=/usr/bin:/bin; mkdir -p /srv/few
      for name in bash cat dirname readlink id flock sort head grep sed stat setpriv; do ln -sf /usr/bin/$name /srv/few/$name; done
      printf '#!/bin/bash\\necho v18.0.0\\n' > /srv/few/node; chmod 755 /srv/few/node
      PATH=/srv/few exec /bin/bash ${script}`,
    );
    expect([code, words]).toEqual([1, expect.stringContaining('nothing was changed')]);
    expect(words).toMatch(/MISSING: Node 18.0.0 .* 20.19 or newer is needed\n {2}mend it:/);
    expect(words).toMatch(/MISSING: these packages are not installed: openssl redis-server postgresql/);
    expect((await machine.run('test', '-e', '/opt/sutazaiapp')).code).toBe(1);
  });

  test('wrong options are refused with the way to the right ones', async () => {
    for (const options of [
      ['--prefx', '/x/y'],
      ['--port', '99999'],
      ['--site', 'third'],
      ['--prefix', '/'],
      ['--purge'],
    ]) {
      const { code, words } = await install(...options);
      expect([options, code]).toEqual([options, 2]);
      expect(words).toMatch(/^FAILED: /);
    }
  });

  test('installs, serves over HTTPS with checked certificates, and keeps the modes', async () => {
    const { code, words } = await install();
    expect([code, words]).toEqual([0, expect.stringContaining('and it serves')]);
    expect(await show('ActiveState')).toBe('active');
    expect(JSON.parse(await readiness())).toMatchObject({ status: 'ready', redis: 'up', postgres: 'up', findings: [] });
    // Not without the CA, and nothing in the open.
    expect((await machine.run('curl', '-s', `${api}/readyz`)).code).toBe(60);
    expect((await machine.run('curl', '-s', 'http://localhost:8000/readyz')).code).not.toBe(0);
    const modes =
      await machine.shell(`cd /opt/sutazaiapp; stat -c '%a %U %n' config/orchestrator.toml config/orchestrator.env \\
      config/secrets/redis.url config/certs/server.crt config/certs/server.key config/certs/ca.key current/scripts/manage_orchestrator.sh`);
    expect(modes.split('\n')).toEqual([
      '640 root config/orchestrator.toml',
      '640 root config/orchestrator.env',
      '600 root config/secrets/redis.url',
      '600 orchestrator config/certs/server.crt',
      '600 orchestrator config/certs/server.key',
      '600 root config/certs/ca.key',
      '750 root current/scripts/manage_orchestrator.sh',
    ]);
    expect(await machine.shell('stat -c %a /opt/sutazaiapp/logs/*.log | sort -u')).toBe('644');
    expect(await machine.done('cat', '/opt/sutazaiapp/logs/orchestrator.log')).toContain('"ready"');
    const units = '/etc/systemd/system/supreme-ai-orchestrator';
    expect(await machine.run('systemd-analyze', 'verify', `${units}.service`, `${units}-redis.service`)).toEqual({
      code: 0,
      words: '',
      out: '',
    });
  });

  test('no secret is in the process list or in the journal', async () => {
    const password = await machine.shell(
      "sed 's#.*orchestrator:\\(.*\\)@.*#\\1#' /opt/sutazaiapp/config/secrets/redis.url",
    );
    const secret = await machine.done('cat', '/opt/sutazaiapp/data/secret');
    expect([password.length, secret.length > 30]).toEqual([64, true]);
    const seen = await machine.shell('ps axww; journalctl --no-pager -o cat; cat /opt/sutazaiapp/logs/*');
    expect(seen).toContain('main.js');
    expect(seen.includes(password)).toBe(false);
    expect(seen.includes(secret)).toBe(false);
  });

  test('installed again, it disturbs nobody', async () => {
    const before = await show('MainPID');
    const release = await machine.done('readlink', '/opt/sutazaiapp/current');
    expect((await install()).code).toBe(0);
    expect([await show('MainPID'), await machine.done('readlink', '/opt/sutazaiapp/current')]).toEqual([
      before,
      release,
    ]);
  });

  test('a reload takes the level of the log over', async () => {
    const pid = await show('MainPID');
    await machine.shell(`sed -i 's/^level = .*/level = "DEBUG"/' /opt/sutazaiapp/config/orchestrator.toml`);
    await machine.done('/opt/sutazaiapp/scripts/manage_orchestrator.sh', 'reload');
    await expect
      .poll(() => machine.shell(`journalctl --no-pager -o cat -u ${service}`), { interval: 300 })
      .toMatch(/"applied":\["logging.level"\]/);
    expect([await show('MainPID'), await show('ActiveState')]).toEqual([pid, 'active']);
  });

  test('what hangs is started again by the watchdog, and work goes on: nothing lost', async () => {
    const running = await machineLoad(machine, folder);
    await machine.shell(`mkdir -p /etc/systemd/system/${service}.d
      printf '[Service]\\nWatchdogSec=4\\n' > /etc/systemd/system/${service}.d/test.conf; systemctl daemon-reload; systemctl restart ${service}`);
    const pid = await show('MainPID');
    await machine.done('kill', '-STOP', pid);
    await expect.poll(() => show('NRestarts'), { timeout: 90_000, interval: 500 }).not.toBe('0');
    await expect.poll(readiness, { timeout: 60_000, interval: 500 }).toContain('"ready"');
    expect(await machine.shell(`journalctl --no-pager -o cat -u ${service}`)).toContain('Watchdog timeout');
    const { accepted, distinct, refused, repeats, open } = await running.end();
    expect([distinct, refused, open]).toEqual([accepted, [], []]);
    expect([accepted > 0, repeats > 0]).toEqual([true, true]);
    await machine.shell(
      `rm -r /etc/systemd/system/${service}.d; systemctl daemon-reload; systemctl restart ${service}`,
    );
  });

  test('stopped and upgraded under load, it ends in order and nothing is lost', async () => {
    const running = await machineLoad(machine, folder);
    const manage = '/opt/sutazaiapp/scripts/manage_orchestrator.sh';
    await machine.done(manage, 'stop');
    expect([await show('Result'), await show('ExecMainStatus')]).toEqual(['success', '0']);
    expect((await machine.run(manage, 'status')).code).toBe(3);
    await machine.done(manage, 'start');
    expect((await machine.run(manage, 'status')).code).toBe(0);
    const before = await machine.done('readlink', '/opt/sutazaiapp/current');
    await machine.shell(`sed -i 's/"version": "[^"]*"/"version": "9.0.0"/' /srv/source/package.json`);
    expect(await install()).toMatchObject({ code: 0 });
    const after = await machine.done('readlink', '/opt/sutazaiapp/current');
    expect([after === before, after]).toEqual([false, expect.stringMatching(/^releases\/9\.0\.0-/)]);
    const { accepted, distinct, refused, open } = await running.end();
    expect([distinct, refused, open]).toEqual([accepted, [], []]);
    expect(accepted).toBeGreaterThan(0);
  });

  test('agents may be asked for a certificate, which the managing script makes, and an upgrade keeps it so', async () => {
    const manage = '/opt/sutazaiapp/scripts/manage_orchestrator.sh';
    const conf = '/opt/sutazaiapp/data/redis/redis.conf';
    const ask = (...shown: string[]) =>
      machine.run(
        ...['redis-cli', '-h', 'localhost', '-p', '6390', '--tls', '--cacert', `${certs}/ca.crt`, ...shown, 'PING'],
      );
    const restarted = async (): Promise<void> => {
      await machine.done('systemctl', 'restart', 'supreme-ai-orchestrator-redis');
      await expect.poll(readiness).toContain('"ready"');
    };
    expect((await ask()).out).toContain('NOAUTH');
    await machine.shell(`sed -i 's/^tls-auth-clients .*/tls-auth-clients yes/' ${conf}`);
    await restarted();
    try {
      expect(
        await machine.shell(`cd /srv && ${manage} certificate worker-1 2>&1 && stat -c '%a %U' worker-1.*`),
      ).toMatch(/made worker-1\.crt, valid until .*\n600 root\n600 root/u);
      expect((await ask()).out).not.toContain('NOAUTH');
      expect((await ask('--cert', '/srv/worker-1.crt', '--key', '/srv/worker-1.key')).out).toContain('NOAUTH');
      expect(await machine.run('sh', '-c', `cd /srv && ${manage} certificate worker-1`)).toMatchObject({ code: 1 });
      expect(await machine.run(manage, 'certificate', 'a/b')).toMatchObject({ code: 2 });
      expect(await install()).toMatchObject({ code: 0 });
      expect(await machine.done('grep', '^tls-auth-clients', conf)).toBe('tls-auth-clients yes');
    } finally {
      await machine.shell(`sed -i 's/^tls-auth-clients .*/tls-auth-clients optional/' ${conf}`);
      await restarted();
    }
  });

  test('a release that does not start is taken back', async () => {
    const before = await machine.done('readlink', '/opt/sutazaiapp/current');
    await machine.shell(`cp -p /srv/source/.build/scripts/main.js /srv/main.js
      sed -i '1i throw new Error("a bad release");' /srv/source/.build/scripts/main.js`);
    const { code, words } = await install();
    await machine.shell('cp -p /srv/main.js /srv/source/.build/scripts/main.js');
    expect(code).toBe(1);
    expect(words).toContain('a bad release');
    expect(words).toContain('the former one');
    expect(await machine.done('readlink', '/opt/sutazaiapp/current')).toBe(before);
    expect(await readiness()).toContain('"ready"');
  });

  test('one service per role share the work', async () => {
    expect(await install('--split')).toMatchObject({ code: 0 });
    const running = await machineLoad(machine, folder);
    const { accepted, open } = await running.end();
    expect([accepted > 0, open]).toEqual([true, []]);
    expect(
      await machine.done(
        'systemctl',
        'is-active',
        'supreme-ai-orchestrator-api@8000',
        'supreme-ai-orchestrator-runtime@9090',
      ),
    ).toBe('active\nactive');
  });

  test('removed, data stay; installed anew, tasks are there; purged, nothing stays', async () => {
    const token = await machine.done('orchestrator', 'token', '--scope', 'read');
    const tasks = async (): Promise<number> => {
      const answer = await machine.done(
        'curl',
        '-s',
        '--cacert',
        `${certs}/ca.crt`,
        '-H',
        `Authorization: Bearer ${token}`,
        `${api}/api/v1/status`,
      );
      return (JSON.parse(answer) as { tasks: Record<string, number> }).tasks['succeeded'] ?? 0;
    };
    const before = await tasks();
    expect(before).toBeGreaterThan(0);
    expect(await install('--uninstall')).toMatchObject({ code: 0 });
    expect(
      await machine.shell(
        "systemctl list-units --plain --no-legend 'supreme-ai*'; systemctl list-unit-files --no-legend 'supreme-ai*' || true",
      ),
    ).toBe('');
    const { code, words } = await install();
    expect([code, words]).toEqual([0, expect.stringContaining('and it serves')]);
    expect(await tasks()).toBe(before);
    expect(await install('--uninstall', '--purge')).toMatchObject({ code: 0 });
    const left =
      await machine.shell(`ls -d /opt/sutazaiapp /etc/systemd/system/supreme-ai* /usr/local/bin/orchestrator 2> /dev/null || true
      getent passwd orchestrator orchestrator-redis || true
      setpriv --reuid postgres --regid postgres --init-groups psql -XtAc "SELECT datname FROM pg_database WHERE datname = 'orchestrator'"`);
    expect(left).toBe('');
  });
});
