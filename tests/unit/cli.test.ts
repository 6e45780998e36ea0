import { describe, expect, test } from 'vitest';
import { commands } from '../../scripts/cli/commands.ts';
import { UsageError } from '../../scripts/cli/usage.ts';
import { positionalRange, type Command } from '../../scripts/cli/command.ts';
import { helpOf, overview } from '../../scripts/cli/help.ts';
import { Output } from '../../scripts/cli/output.ts';
import { runProgram } from '../../scripts/cli/program.ts';

async function run(argv: string[], list: readonly Command[] = commands, columns?: number) {
  const [out, err]: [string[], string[]] = [[], []];
  const code = await runProgram(list, argv, {
    env: { TERM: 'xterm' },
    out: (text) => out.push(text),
    err: (text) => err.push(text),
    columns,
    signal: new AbortController().signal,
  });
  return { code, out: out.join(''), err: err.join('') };
}

describe('words of the command line', () => {
  test('no two commands have the same words, and every help fits 80 columns and has its options', () => {
    expect(new Set(commands.map(({ words }) => words)).size).toBe(commands.length);
    for (const text of [overview(commands), ...commands.map(helpOf)])
      for (const line of text.split('\n').filter((part) => !part.includes('orchestrator ')))
        expect(line.length, line).toBeLessThanOrEqual(80);
    for (const command of commands)
      for (const option of Object.keys(command.options ?? {})) expect(helpOf(command)).toContain(`--${option}`);
  });

  test('a wrong command, group, option or number of words is exit code 2 and says what is right', async () => {
    expect(await run(['tassk'])).toMatchObject({
      code: 2,
      out: '',
      err: expect.stringContaining('did you mean "task"?'),
    });
    expect((await run(['task'])).err).toContain('task history');
    expect((await run(['task', 'get'])).err).toContain('task get needs ID');
    expect((await run(['task', 'get', 'a', 'b'])).err).toContain('does not take "b"');
    expect((await run(['task', 'list', '--limit', '0', '--token-file', '/dev/null'])).err).toContain('from 1 to');
    expect(await run(['task', 'list', '--statuss', 'x'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('--statuss'),
    });
    expect(await run([])).toMatchObject({ code: 2, out: expect.stringContaining('Examples:') });
    expect(await run(['help', 'task', 'get'])).toMatchObject({
      code: 0,
      out: expect.stringContaining('--wait SECONDS'),
    });
  });

  test('the longest words win, and the exit code is the command’s', async () => {
    const made = (words: string, code: number): Command => ({ words, summary: '', run: () => code });
    const list = [made('token', 3), made('token revoke', 4)];
    expect((await run(['token'], list)).code).toBe(3);
    expect((await run(['token', 'revoke'], list)).code).toBe(4);
    const failing: Command = { words: 'x', summary: '', run: () => Promise.reject(new Error('it broke')) };
    expect(await run(['x'], [failing])).toMatchObject({ code: 1, err: 'orchestrator: it broke\n' });
    const wrong: Command = { words: 'x', summary: '', run: () => Promise.reject(new UsageError('no')) };
    expect((await run(['x'], [wrong])).code).toBe(2);
  });

  test('a server that is not there is named', async () => {
    const command = await run(['task', 'get', 't-0-x', '--url', 'http://127.0.0.1:9', '--token-file', '/dev/null']);
    expect(command).toMatchObject({ code: 1, err: expect.stringContaining('http://127.0.0.1:9 cannot be reached') });
  });

  test.each([
    ['', 0, 0],
    ['ID', 1, 1],
    ['[ID]', 0, 1],
    ['ID...', 1, Infinity],
    ['ID [MORE...]', 1, Infinity],
  ])('positionals "%s" are from %d to %d', (words, min, max) => {
    expect(positionalRange(words)).toEqual({ min, max });
  });
});

describe('output', () => {
  function printed(columns: number, colours: boolean, act: (output: Output) => void): string[] {
    const lines: string[] = [];
    act(new Output({ json: false, colours, columns, write: (text) => lines.push(text.trimEnd()) }));
    return lines;
  }

  test('a table stays within the terminal: flexible columns give way', () => {
    const rows = [{ id: 't-3-01JD2Q8Z0G5M6N7P8Q9RSTVWXY', note: 'n'.repeat(100) }];
    const columns = [
      { title: 'id', of: (row: (typeof rows)[0]) => row.id },
      { title: 'note', of: (row: (typeof rows)[0]) => row.note, flexible: true },
    ];
    for (const line of printed(80, false, (output) => output.table(columns, rows)))
      expect(line.length).toBeLessThanOrEqual(80);
    expect(printed(Infinity, false, (output) => output.table(columns, rows))[1]).toContain('n'.repeat(100));
  });

  test('text from elsewhere cannot steer the terminal', () => {
    const [line] = printed(80, false, (output) => output.members({ note: 'a\u001b[31mred\u001b[0m\u0007\nb' }));
    expect(line).toBe('note  ared b');
  });

  test('colours only where asked for', () => {
    expect(printed(80, true, (output) => output.line(output.status('succeeded')))[0]).toContain('\u001b[32m');
    expect(printed(80, false, (output) => output.line(output.status('succeeded')))[0]).toBe('succeeded');
  });
});

describe('machine export', () => {
  test.each([
    ['json', /^\{\n {2}"definition": "task",[\s\S]*\}\n$/],
    ['mermaid', /^stateDiagram-v2\n[\s\S]*queued/],
    ['dot', /^digraph [\s\S]*queued[\s\S]*\}\n$/],
    ['svg', /^<svg xmlns[\s\S]*queued[\s\S]*<\/svg>\n$/],
  ])('as %s needs no server', async (format, shape) => {
    const { code, out, err } = await run(['machine', 'export', 'task', '--format', format]);
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(shape);
  });

  test('what is not known is named with what is', async () => {
    expect(await run(['machine', 'export', 'tusk'])).toMatchObject({
      code: 2,
      err: expect.stringMatching(/"tusk" is not known; known are .*task.*did you mean "task"/),
    });
    expect(await run(['machine', 'export', 'task', '--format', 'sgv'])).toMatchObject({
      code: 2,
      out: '',
      err: expect.stringContaining('known are json, mermaid, dot, svg'),
    });
  });
});
