/** The texts that the demo works on. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';

export interface Document {
  name: string;
  text: string;
  /** Whether the text was cut to fit into one task. */
  cut: boolean;
}

/** Room below the 256 KiB of a task's parameters for the name and for JSON's escapes. */
const textBytesMax = 200 * 1024;
const documentsMax = 5_000;
const skipped = new Set(['node_modules']);

/**
 * Markdown and text files below a folder, in the order of their names. Hidden folders and node_modules are passed over.
 * @throws Error when the folder cannot be read or holds none
 */
export function findDocuments(folder: string): Document[] {
  const documents: Document[] = [];
  const visit = (at: string): void => {
    for (const entry of readdirSync(at, { withFileTypes: true }).sort((left, right) =>
      left.name < right.name ? -1 : 1,
    )) {
      if (entry.name.startsWith('.') || skipped.has(entry.name)) continue;
      const path = join(at, entry.name);
      if (entry.isDirectory()) visit(path);
      else if (entry.isFile() && /\.(md|markdown|txt|rst)$/i.test(entry.name) && documents.length < documentsMax)
        documents.push(read(path, relative(folder, path)));
    }
  };
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw new Error(`--input ${folder} is no folder`);
  visit(folder);
  if (documents.length === 0) throw new Error(`--input ${folder} holds no .md, .markdown, .txt or .rst file`);
  return documents;
}

function read(path: string, name: string): Document {
  // What a task cannot store (NUL) is no text of a document either.
  const text = readFileSync(path, 'utf8').replaceAll('\u0000', ' ').toWellFormed();
  if (JSON.stringify(text).length <= textBytesMax && Buffer.byteLength(text) <= textBytesMax)
    return { name, text, cut: false };
  let end = Math.min(text.length, textBytesMax);
  while (Buffer.byteLength(JSON.stringify(text.slice(0, end))) > textBytesMax) end = Math.floor(end * 0.8);
  return { name, text: text.slice(0, end).toWellFormed(), cut: true };
}
