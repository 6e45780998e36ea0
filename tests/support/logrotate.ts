/** Debian's logrotate, with the library that it needs. */
import { relative } from 'node:path';
import { findTool } from './debiantool.ts';
import { rootDir } from './folders.ts';

/** How a machine whose /srv/source is the repository calls it, or why there is none. */
export async function findLogrotate(): Promise<{ command: string } | { missing: string }> {
  const tool = await findTool({
    ...{ program: 'logrotate', package: 'logrotate', libraries: ['libpopt0'], folder: 'usr/sbin', cache: 'logrotate' },
  });
  if ('missing' in tool) return tool;
  if (!tool.path.includes('/')) return { command: tool.path };
  const there = `/srv/source/${relative(rootDir, tool.path)}`;
  const libraries = there.replace(/usr\/sbin\/logrotate$/, 'usr/lib/$(uname -m)-linux-gnu');
  return { command: `LD_LIBRARY_PATH=${libraries} ${there}` };
}
