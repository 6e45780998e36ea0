import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';

/**
 * The password kept in `path`, made and stored (mode 600) at first use. Two callers at once agree: the file is created
 * exclusively and the loser reads what the winner wrote.
 */
export async function storedSecret(path: string): Promise<string> {
  try {
    const secret = randomBytes(24).toString('base64url');
    await writeFile(path, `${secret}\n`, { mode: 0o600, flag: 'wx' });
    return secret;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const stored = (await readFile(path, 'utf8')).trim();
  if (stored === '') throw new Error(`${path} is empty; delete it together with its data folder and start again`);
  return stored;
}
