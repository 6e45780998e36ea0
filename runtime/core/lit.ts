/** Which states of a chart an actor is in. */
import type { AnyStateNode } from 'xstate';
import type { LoadedDefinition } from './definition.ts';

/**
 * Ids of all states, outer ones included, that a state text stands for (`present.availability.idle,health.healthy`).
 * Empty when the definition has no such states: the text is of another version.
 */
export function litStates(definition: LoadedDefinition, stateText: string): string[] {
  const { root } = definition.machine;
  const lit = new Set<AnyStateNode>([root]);
  for (const part of stateText.split(',')) {
    // The text of a region names what stands beneath it only, so a later part begins at a parallel state that is lit.
    const found = [root, ...[...lit].filter(({ type }) => type === 'parallel').reverse()]
      .map((from) => descend(from, part))
      .find((way) => way !== undefined);
    if (!found) return [];
    for (const node of found) lit.add(node);
  }
  return [...lit].map(({ id }) => id);
}

/** The nodes on the way that a dotted text names; undefined when there is none. Keys may hold dots themselves. */
function descend(from: AnyStateNode, text: string): AnyStateNode[] | undefined {
  if (text === '') return [];
  for (const [key, child] of Object.entries(from.states)) {
    if (text !== key && !text.startsWith(`${key}.`)) continue;
    const rest = descend(child, text.slice(key.length + 1));
    if (rest) return [child, ...rest];
  }
  return undefined;
}
