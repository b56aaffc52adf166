/** Times and durations as a person reads them. UTC is said: the server does not know where the reader is. */
import { type Html, html } from './html.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `8 hours`, `90 minutes`, `30 days`: the largest unit that needs no fraction. */
export function durationWords(milliseconds: number): string {
  const units: readonly [number, string][] = [
    [DAY, 'day'],
    [HOUR, 'hour'],
    [MINUTE, 'minute'],
  ];
  const [length, name] = units.find(([unit]) => milliseconds >= unit && milliseconds % unit === 0) ?? [1000, 'second'];
  const count = Math.round(milliseconds / length);
  return `${count} ${name}${count === 1 ? '' : 's'}`;
}

/** `17:40 UTC` today, `27 Nov 2026, 17:40 UTC` on another day. Milliseconds since the epoch. */
export function time(at: number, now: number): Html {
  const date = new Date(at);
  const iso = date.toISOString();
  const clock = `${iso.slice(11, 16)} UTC`;
  const today = iso.slice(0, 10) === new Date(now).toISOString().slice(0, 10);
  const day = `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]} ${date.getUTCFullYear()}`;
  return html`<time datetime="${iso}">${today ? clock : `${day}, ${clock}`}</time>`;
}
