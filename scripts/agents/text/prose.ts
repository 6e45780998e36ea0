/**
 * Plain prose out of Markdown or plain text: what a reader would read aloud. Code, addresses and markup go; headings,
 * list items and table cells become blocks of their own, so that no sentence runs across them.
 *
 * Texts come from strangers. Every pattern here is linear: no quantifier may start anew at each character of a run.
 */

const unreadable = /[\p{Cs}\uFFFD\uFEFF\u200B\u2060]|(?![\n\t])\p{Cc}/gu;
const fence = /^ {0,3}(`{3,}|~{3,})/u;
const rule = /^ {0,3}(?:[-*_=] ?){3,}\s*$/u;
const referenceDefinition = /^ {0,3}\[[^[\]]{1,200}\]:\s/u;
const tableDivider = /^[\s|:-]*-[\s|:-]*$/u;
const marker = /^\s{0,80}(?:[-*+•]|\d{1,9}[.)])\s+(?:\[[ xX]\]\s+)?/u;
const heading = /^ {0,3}#{1,6}(?:\s+|$)/u;
const quote = /^(?: {0,3}> ?)+/u;

/**
 * Blocks of prose in document order; none is empty, none holds a line break.
 * @param text any text, Markdown or not, valid UTF-16 or not
 */
export function proseBlocks(text: string): string[] {
  const source = withoutComments(text.replace(/\r\n?|[\u2028\u2029\u0085]/gu, '\n').replace(unreadable, ' '));
  const blocks: string[] = [];
  let paragraph: string[] = [];
  const flush = () => {
    if (paragraph.length === 0) return;
    const block = inline(paragraph.join(' '));
    if (block !== '') blocks.push(block);
    paragraph = [];
  };
  for (const line of readableLines(source)) {
    const content = line.replace(quote, '');
    if (content.trim() === '' || rule.test(content) || referenceDefinition.test(content)) {
      flush();
    } else if (heading.test(content)) {
      flush();
      paragraph.push(content.replace(heading, '').replace(/\s#+\s*$/u, ''));
      flush();
    } else if (content.trimStart().startsWith('|')) {
      flush();
      if (tableDivider.test(content)) continue;
      for (const cell of content.split('|')) {
        paragraph.push(cell);
        flush();
      }
    } else if (marker.test(content)) {
      flush();
      paragraph.push(content.replace(marker, ''));
    } else {
      paragraph.push(content);
    }
  }
  flush();
  return blocks;
}

/** Lines outside of front matter and fenced code. A fence that is never closed hides nothing but itself. */
function readableLines(source: string): string[] {
  const lines = source.split('\n');
  const readable: string[] = [];
  let index = frontMatterEnd(lines);
  const fencesUnclosed = new Set<string>();
  while (index < lines.length) {
    const line = lines[index]!;
    const mark = fence.exec(line)?.[1];
    if (mark === undefined) {
      readable.push(line);
      index += 1;
      continue;
    }
    const kind = mark[0]!;
    const end = fencesUnclosed.has(kind) ? -1 : fenceEnd(lines, index + 1, kind, mark.length);
    if (end < 0) fencesUnclosed.add(kind);
    readable.push('');
    index = end < 0 ? index + 1 : end + 1;
  }
  return readable;
}

function fenceEnd(lines: readonly string[], from: number, kind: string, length: number): number {
  for (let index = from; index < lines.length; index++) {
    const mark = fence.exec(lines[index]!)?.[1];
    if (mark?.[0] === kind && mark.length >= length) return index;
  }
  return -1;
}

/** Index of the first line after YAML or TOML front matter; 0 when there is none. */
function frontMatterEnd(lines: readonly string[]): number {
  const open = lines[0]?.trimEnd();
  if (open !== '---' && open !== '+++') return 0;
  for (let index = 1; index < Math.min(lines.length, 200); index++) {
    const line = lines[index]!.trimEnd();
    if (line === open || (open === '---' && line === '...')) return index + 1;
    // A paragraph below a rule is no front matter: keys and lists only.
    if (line !== '' && !/^(?:\s|[-#[\]{}"']|[\w.-]+\s*[:=])/u.test(line)) return 0;
  }
  return 0;
}

function withoutComments(text: string): string {
  let rest = withoutSpans(text, '<!--', '-->');
  for (const tag of ['script', 'style']) rest = withoutSpans(rest, `<${tag}`, `</${tag}>`);
  return rest;
}

function withoutSpans(text: string, open: string, close: string): string {
  let kept = '';
  let position = 0;
  for (;;) {
    const start = text.indexOf(open, position);
    const end = start < 0 ? -1 : text.indexOf(close, start + open.length);
    if (end < 0) return kept + text.slice(position);
    kept += text.slice(position, start) + ' ';
    position = end + close.length;
  }
}

const entities: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
  mdash: '—',
  ndash: '–',
  hellip: '…',
};

function inline(text: string): string {
  return (
    text
      // Twice, because a badge is an image inside a link.
      .replace(/!?\[([^[\]]{0,1000})\]\([^()\s]{0,2000}(?:\s+"[^"()]{0,500}")?\)/gu, '$1')
      .replace(/!?\[([^[\]]{0,1000})\]\([^()\s]{0,2000}(?:\s+"[^"()]{0,500}")?\)/gu, '$1')
      .replace(/\[\^[^[\]\s]{1,100}\]/gu, '')
      .replace(/\[([^[\]]{1,1000})\](?:\[[^[\]]{0,200}\])?/gu, '$1')
      .replace(/<?\b(?:https?|ftp|mailto|file):[^\s<>()]{1,2000}>?/giu, ' ')
      .replace(/<\/?[a-zA-Z][^<>]{0,1000}>/gu, ' ')
      .replace(/&([a-z]{2,6});/gu, (entity, name: string) => entities[name] ?? entity)
      .replace(/[`*~]+/gu, '')
      .replace(/(?<![\p{L}\p{N}])_+|_+(?![\p{L}\p{N}])/gu, '')
      .replace(/\\([!-/:-@[-`{-~])/gu, '$1')
      .replace(/\|/gu, ' ')
      .replace(/\s+/gu, ' ')
      .trim()
  );
}
