/** Charts of definitions: which states are lit, and that the exported forms hold all of them. */
import { describe, expect, test } from 'vitest';
import { createRegistry } from '../../actors/application.ts';
import { graphOf } from '../../api/visualiser/chartgraph.ts';
import { dotOf } from '../../api/visualiser/dot.ts';
import { Layouts, type Box } from '../../api/visualiser/layout.ts';
import { mermaidOf } from '../../api/visualiser/mermaid.ts';
import { Catalogue } from '../../runtime/core/catalogue.ts';
import { definitions } from '../support/order.ts';

const catalogue = new Catalogue(createRegistry(definitions));

describe('lit states', () => {
  test.each([
    ['task', 'open.held.running', ['task', 'task.open', 'task.open.held', 'task.open.held.running']],
    [
      'agent',
      'present.availability.idle,health.healthy',
      [
        ...['agent', 'agent.present', 'agent.present.availability', 'agent.present.availability.idle'],
        ...['agent.present.health', 'agent.present.health.healthy'],
      ],
    ],
    ['task', 'no.such.state', []],
    ['nobody', 'open', []],
  ])('%s in %s', (definition, state, lit) => {
    expect(catalogue.lit(definition, state)).toEqual(lit);
  });
});

describe.each(catalogue.charts().map((chart) => ({ name: chart.definition, chart })))('$name', ({ chart }) => {
  test('every state is in its Mermaid and its DOT form', () => {
    const [mermaid, dot] = [mermaidOf(chart), dotOf(chart)];
    for (const { key, id } of chart.states.slice(1)) {
      expect(mermaid).toContain(`"${key}"`);
      expect(dot).toContain(id);
    }
    expect(dot.split('{').length).toBe(dot.split('}').length);
  });

  test('no two states that stand beside each other overlap, and children stand inside of their parents', async () => {
    const layouts = new Layouts();
    const { boxes } = await layouts.layout(graphOf(chart)).finally(() => layouts.stop());
    const box = (id: string): Box => boxes.get(id)!;
    for (const state of chart.states) {
      if (state.parent === undefined) continue;
      const [own, around] = [box(state.id), box(state.parent)];
      expect(own.x >= around.x && own.y >= around.y).toBe(true);
      expect(own.x + own.width <= around.x + around.width && own.y + own.height <= around.y + around.height).toBe(true);
      for (const other of chart.states) {
        if (other.parent !== state.parent || other.id === state.id) continue;
        const beside = box(other.id);
        const apart =
          own.x + own.width <= beside.x ||
          beside.x + beside.width <= own.x ||
          own.y + own.height <= beside.y ||
          beside.y + beside.height <= own.y;
        expect([state.id, other.id, apart]).toEqual([state.id, other.id, true]);
      }
    }
  });
});
