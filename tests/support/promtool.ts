/** Prometheus' own checker. */
import { findTool } from './debiantool.ts';

/** The program, or why there is none on this machine. */
export function findPromtool(): Promise<{ path: string } | { missing: string }> {
  return findTool({ program: 'promtool', package: 'prometheus', cache: 'prometheus' });
}
