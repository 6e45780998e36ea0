import { expect, test } from 'vitest';
import { close, closedGate, open, pass } from '../../runtime/core/merge/gate.ts';

const opened = open(closedGate, 11, 1_000, 5_000).gate;

test('a gate is closed at boot, and open for one epoch and its time', () => {
  expect(pass(closedGate, 11, 0)).toMatchObject({ passed: false, why: 'closed' });
  expect(pass(opened, 11, 5_000)).toMatchObject({ passed: true });
  expect(pass(opened, 11, 5_999)).toMatchObject({ passed: true });
  expect(pass(opened, 11, 6_000)).toMatchObject({ passed: false, why: 'past-time' });
  expect(pass(opened, 21, 5_500)).toMatchObject({ passed: false, why: 'other-epoch' });
});

test('a clock that went back closes the gate for what comes after, too', () => {
  const seen = pass(opened, 11, 5_800).gate;
  const back = pass(seen, 11, 5_799);
  expect(back).toMatchObject({ passed: false, why: 'clock-went-back' });
  expect(pass(back.gate, 11, 5_900)).toMatchObject({ passed: false, why: 'closed' });
  expect(open(seen, 11, 1_000, 5_000)).toMatchObject({ passed: false, why: 'clock-went-back' });
});

test('a lower epoch never opens a gate, and a closed one opens for a higher', () => {
  expect(open(opened, 10, 1_000, 5_000)).toMatchObject({ passed: false, why: 'other-epoch' });
  expect(pass(open(close(opened), 22, 1_000, 5_100).gate, 22, 5_200)).toMatchObject({ passed: true });
});
