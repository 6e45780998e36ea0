/** The audit of what the command line does by itself, without the API: a running orchestrator takes the notes into the log. */
import { userInfo } from 'node:os';
import type { Config } from '../../config/schema.ts';
import { AuditFolder } from '../../runtime/host/auditfolder.ts';
import { createSystem } from '../../runtime/host/system.ts';
import type { AuditRecord } from '../../runtime/protocol/audit.ts';
import { createLog } from '../../runtime/telemetry/log.ts';
import { auditFolderOf } from '../settings.ts';

export interface Deed {
  /** The command, as `token rotate`. */
  action: string;
  /** What it was done to. */
  target: string;
  detail?: Readonly<Record<string, unknown>>;
}

/**
 * Notes the deed, does it, and notes that it was done (status 200) or failed (500).
 * @throws Error when it cannot be noted: then nothing was done
 */
export async function noted<T>(config: Config, deed: Deed, work: () => T | Promise<T>): Promise<T> {
  const system = createSystem();
  const notes = new AuditFolder(auditFolderOf(config), createLog({ level: 'WARNING', format: config.logging.format }));
  const begun: AuditRecord = {
    id: system.ulid(),
    at: system.now(),
    subject: operator(),
    address: 'command line',
    action: `orchestrator ${deed.action}`,
    target: deed.target.slice(0, 512),
    ...(deed.detail && { detail: JSON.stringify(deed.detail).slice(0, 1_024) }),
  };
  await notes.note(begun).catch((error: unknown) => {
    throw new Error(`${deed.action} cannot be noted in the audit log, so it was not done: ${String(error)}`);
  });
  try {
    const value = await work();
    await notes.note({ ...begun, status: 200 });
    return value;
  } catch (error) {
    await notes.note({ ...begun, status: 500 });
    throw error;
  }
}

/** Who sits at the machine: whoever called sudo, or the user of the process. */
function operator(): string {
  return (process.env['SUDO_USER'] || userInfo().username).slice(0, 128);
}
