/** The folder of the repository or installation, from the source tree and from `.build` alike. */
import { basename, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const above = dirname(dirname(fileURLToPath(import.meta.url)));

export const projectRoot = basename(above) === '.build' ? dirname(above) : above;
/** Folder of the compiled programs. */
export const buildRoot = above;
