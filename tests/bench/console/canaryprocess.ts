/** Looks at the clock every millisecond and tells its parent each time that it could not, in milliseconds of the wall clock. */
const stillMs = 8;
let last = performance.now();
setInterval(() => {
  const now = performance.now();
  if (now - last > stillMs) process.send?.([performance.timeOrigin + last, performance.timeOrigin + now]);
  last = now;
}, 1);
process.on('disconnect', () => process.exit());
