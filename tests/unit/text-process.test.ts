import { describe, expect, test } from 'vitest';
import fc from 'fast-check';
import { assembleCorpus } from '../../scripts/agents/text/corpus.ts';
import { keyphrasesMax, processText, type TextReport } from '../../scripts/agents/text/process.ts';
import { proseBlocks } from '../../scripts/agents/text/prose.ts';

const harbour = `# The harbour

The old harbour lies at the mouth of the river. Fishing boats leave the harbour before sunrise and come back at noon.
In the afternoon the fish market fills with visitors who want to buy fresh fish. The fish market closes at five, and the
fishing boats are cleaned for the next day. Children watch the fishing boats from the harbour wall. Nobody remembers who
built the harbour wall. A new lighthouse was planned last year, but the town has no money for it.
`;

describe('processText', () => {
  test('counts words, sentences and characters', () => {
    const report = processText('One two three. Four five!');
    expect(report).toMatchObject({ words: 5, sentences: 2, characters: 25 });
  });

  test('finds the phrases that a text keeps coming back to', () => {
    const phrases = processText(harbour).keyphrases.map(({ phrase }) => phrase.toLowerCase());
    expect(phrases.slice(0, 4)).toEqual(expect.arrayContaining(['fishing boats', 'fish market']));
    expect(phrases.length).toBeLessThanOrEqual(keyphrasesMax);
  });

  test('summarises by three sentences of the text, in its order', () => {
    const prose = proseBlocks(harbour).join(' ');
    const { summary } = processText(harbour);
    expect(summary).toHaveLength(3);
    const places = summary.map((sentence) => prose.indexOf(sentence));
    expect(places.every((place) => place >= 0)).toBe(true);
    expect([...places].sort((a, b) => a - b)).toEqual(places);
  });

  test('says nothing about an empty text', () => {
    const nothing = { words: 0, sentences: 0, language: { code: 'und', confidence: 0 }, keyphrases: [], summary: [] };
    expect(processText('')).toEqual({ ...nothing, characters: 0 });
    expect(processText(' \n\t\n ')).toMatchObject(nothing);
    expect(processText('\u0000\u0001\uFFFD\uD800*** --- |||')).toMatchObject(nothing);
  });

  test('reads one word, emoji, and signs that need two code units', () => {
    expect(processText('word')).toMatchObject({ words: 1, sentences: 1, summary: ['word'] });
    expect(processText('👩‍👩‍👧‍👦 🎉')).toMatchObject({ words: 0, characters: 9 });
    expect(processText('𠮷野家で食べた。').words).toBeGreaterThan(1);
  });

  test('never lets a NUL or a lone surrogate into its result', () => {
    const text = 'A lone \uD83D half and a \u0000 zero are in this text. Another \uDE00 one is here too.';
    expect(JSON.stringify(processText(text))).not.toMatch(/\\u0000|\\ud[89a-f]/iu);
  });

  const long = (unit: string) => unit.repeat(Math.ceil((256 * 1024) / Buffer.byteLength(unit)));
  test.each([
    ['prose', long(harbour)],
    ['one line without a stop', long('word and more ')],
    ['one word', long('x')],
    ['abbreviations', long('Dr. ')],
    ['Chinese without spaces', long('漢字仮名交じり文は日本語の表記法である')],
    ['open brackets', long('[')],
    ['open links', long('[a](')],
    ['open comments', long('<!--')],
    ['open fences', long('```\n')],
    ['line breaks', long('\n')],
    ['table cells', long('| a ')],
    ['rules', long('- ')],
  ])('reads 256 KiB of %s without delay', (_, text) => {
    const before = performance.now();
    processText(text);
    // Far above what it needs (most take 0.1 to 0.3 s): what is quadratic takes half a minute.
    expect(performance.now() - before).toBeLessThan(5_000);
  });

  test('never fails, and its result fits what the server takes, whatever the text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary', maxLength: 400 }), markdown), (text) => {
        const report = processText(text);
        const prose = proseBlocks(text).join('\n');
        expect(report.summary.length).toBeLessThanOrEqual(3);
        for (const sentence of report.summary) expect(prose).toContain(sentence);
        expect(report.sentences).toBeLessThanOrEqual(report.words);
        expect(report.language.confidence).toBeGreaterThanOrEqual(0);
        expect(report.language.confidence).toBeLessThanOrEqual(1);
        expect(processText(text)).toEqual(report);
      }),
      { numRuns: 300 },
    );
  });
});

const markdown = fc
  .array(
    fc.constantFrom(
      '# ',
      '- ',
      '| ',
      '```',
      '\n',
      '[',
      '](',
      ')',
      '`',
      '**',
      '_',
      '<',
      '>',
      '---',
      'word ',
      'Die Katze. ',
      '漢字。',
      ' سلام ',
      '1. ',
      '.',
      '!',
      'http://a/b ',
    ),
    { maxLength: 60 },
  )
  .map((parts) => parts.join(''));

describe('proseBlocks', () => {
  test('keeps what a reader reads and drops code, addresses and markup', () => {
    const text = `---
title: hidden
---
# A *title* #

Some **bold**, \`code\` and a [link](https://example.org/x "t") with an ![image](a.png).
It goes on here. <b>Tags</b> go<!-- and
comments -->, https://example.org goes.

\`\`\`js
const hidden = 1;
\`\`\`

| head | cell |
|---|:--:|
| a b | c d |

- first item
2. second snake_case item
> quoted &amp; said

[ref]: https://example.org
`;
    expect(proseBlocks(text)).toEqual([
      'A title',
      'Some bold, code and a link with an image. It goes on here. Tags go , goes.',
      ...['head', 'cell', 'a b', 'c d', 'first item', 'second snake_case item quoted & said'],
    ]);
  });

  test('shows what stands below a fence that is never closed', () => {
    expect(proseBlocks('```\nstill read')).toEqual(['still read']);
  });
});

describe('assembleCorpus', () => {
  const named = (name: string, text: string) => ({ name, report: processText(text) });

  test('adds up, and names the longest and the shortest text', () => {
    const reports = [named('harbour', harbour), named('short', 'The fish market is open today.'), named('empty', '')];
    const corpus = assembleCorpus(reports);
    expect(corpus).toMatchObject({
      documents: 3,
      longest: { name: 'harbour' },
      shortest: { name: 'empty', words: 0 },
      languages: { en: 2, und: 1 },
    });
    expect(corpus.keyphrases.find(({ phrase }) => phrase === 'fish market')).toMatchObject({ documents: 2 });
    const sentences = reports.flatMap(({ report }) => report.summary);
    for (const sentence of corpus.summary) expect(sentences).toContain(sentence);
  });

  test('of nothing is empty', () => {
    expect(assembleCorpus([])).toEqual({
      ...{
        documents: 0,
        words: 0,
        sentences: 0,
        languages: {},
        keyphrases: [],
        longest: null,
        shortest: null,
        summary: [],
      },
    });
  });

  test('counts are additive and every text has one language', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string(), markdown), { maxLength: 6 }), (texts) => {
        const reports = texts.map(([name, text]) => named(name, text));
        const corpus = assembleCorpus(reports);
        const sum = (of: (report: TextReport) => number) =>
          reports.reduce((total, { report }) => total + of(report), 0);
        expect(corpus.words).toBe(sum(({ words }) => words));
        expect(corpus.sentences).toBe(sum(({ sentences }) => sentences));
        expect(Object.values(corpus.languages).reduce((a, b) => a + b, 0)).toBe(reports.length);
      }),
      { numRuns: 100 },
    );
  });
});
