/** How large texts are when they are drawn: an estimate on the safe side, because the server has no fonts. Pixels. */

export const fonts = { state: 13, edge: 11, title: 12 } as const;
export const lineHeight = 15;

const narrow = /[iljtfr.,:;'|()[\]{}! ]/;
const wide = /[mwMW@%—]/;

/** Width of a text in a common sans-serif font. */
export function textWidth(text: string, fontSize: number): number {
  let units = 0;
  for (const character of text)
    units += narrow.test(character) ? 0.36 : wide.test(character) ? 0.95 : /[A-Z]/.test(character) ? 0.74 : 0.62;
  return Math.ceil(units * fontSize);
}
