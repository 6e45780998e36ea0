/**
 * How long a test waits for what has to come, ms. Nothing is measured by it: a shared machine stands still for seconds, and what
 * never comes fails a test a little later. How fast something is, is the matter of the bench.
 */
export const patienceMs = 30_000;
