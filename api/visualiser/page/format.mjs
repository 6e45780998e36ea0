/** Times, numbers and statuses as people read them. */

export const timeModes = ['relative', 'local', 'UTC'];
const modeKey = 'console.time';
let mode = timeModes.includes(localStorage.getItem(modeKey)) ? localStorage.getItem(modeKey) : 'relative';

export const timeMode = () => mode;
export function nextTimeMode() {
  mode = timeModes[(timeModes.indexOf(mode) + 1) % timeModes.length];
  localStorage.setItem(modeKey, mode);
}

const two = (number) => String(number).padStart(2, '0');

function local(date) {
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}`;
}

/** @param {string | undefined} iso */
export function time(iso, now = Date.now()) {
  if (!iso) return '–';
  const date = new Date(iso);
  if (mode === 'UTC') return `${iso.slice(0, 19).replace('T', ' ')}Z`;
  if (mode === 'local') return local(date);
  const ms = now - date.getTime();
  return ms < 0 ? `in ${duration(-ms)}` : ms < 1_000 ? 'now' : `${duration(ms)} ago`;
}

/** Both clocks, for the tip of a time. */
export function exact(iso) {
  return iso ? `${iso} (${local(new Date(iso))} here)` : '';
}

export function duration(ms) {
  if (ms === undefined || ms === null || Number.isNaN(ms)) return '–';
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const s = ms / 1_000;
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  if (s < 3_600) return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
  if (s < 86_400) return `${Math.floor(s / 3_600)} h ${Math.floor((s % 3_600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3_600)} h`;
}

const whole = new Intl.NumberFormat('en');
export const number = (value) => (typeof value === 'number' ? whole.format(value) : '–');

const colours = {
  succeeded: 'good',
  running: 'busy',
  assigned: 'busy',
  retrying: 'warn',
  cancelling: 'warn',
  parked: 'bad',
  expired: 'odd',
  idle: 'good',
  active: 'good',
  busy: 'busy',
  paused: 'warn',
  draining: 'warn',
  suspect: 'odd',
  lost: 'bad',
  up: 'good',
  down: 'bad',
  applied: 'good',
  refused: 'bad',
  faulted: 'bad',
  duplicate: 'warn',
  superseded: 'warn',
  kept: 'good',
  standby: 'busy',
  promoting: 'warn',
  fenced: 'bad',
  streaming: 'good',
  catching_up: 'warn',
  lagging: 'warn',
  reconciling: 'warn',
  copying: 'warn',
  connecting: 'warn',
  disconnected: 'bad',
};

/** Colour of a status, or of the innermost part of a state. */
export function colourOf(status) {
  const name = String(status).toLowerCase();
  return colours[name] ?? colours[name.split(',')[0].split('.').at(-1)] ?? 'calm';
}

/** `xstate.after.backoff.task.open.retrying` reads `after backoff`. */
export function eventName(type) {
  const timer = /^xstate\.after\.([^.]+)\./.exec(type);
  return timer ? `after ${timer[1]}` : type;
}
