// Runs in the page before its own scripts: notes tasks of the main thread that last, and when the statechart changes.
globalThis.probe = { long: [], lit: [] };
new PerformanceObserver((list) => {
  for (const { startTime, duration } of list.getEntries()) {
    const fromMs = performance.timeOrigin + startTime;
    globalThis.probe.long.push([fromMs, fromMs + duration]);
  }
}).observe({ type: 'longtask', buffered: true });
addEventListener('DOMContentLoaded', () => {
  let before = '';
  new MutationObserver(() => {
    const lit = [...document.querySelectorAll('svg.chart .atomic.lit')].map(({ dataset }) => dataset.state).join(' ');
    if (lit === before || lit === '') return;
    before = lit;
    globalThis.probe.lit.push({ state: lit, atMs: performance.timeOrigin + performance.now() });
  }).observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ['class'] });
});
