/**
 * Markup that can't be forgotten to escape: whatever a template is given is text, unless a template made it.
 *
 * All text is hostile: clients name themselves, identity providers name people, upstreams word their errors.
 */
import { writeOutUnseen } from '../../unseen.ts';

/** Only this file can make one: no parsed JSON has this key. */
const MARKUP = Symbol('markup');

export interface Html {
  readonly [MARKUP]: string;
}

/** `undefined` and `false` stand for nothing, so that a part can depend on a condition. */
type Part = string | number | Html | readonly Part[] | undefined | false;

export function html(pieces: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return { [MARKUP]: pieces.map((piece, index) => piece + markupOf(parts[index])).join('') };
}

export function markupOf(part: Part): string {
  if (part === undefined || part === false) return '';
  if (typeof part === 'string') return escapeHtml(part);
  if (typeof part === 'number') return String(part);
  return MARKUP in part ? part[MARKUP] : part.map(markupOf).join('');
}

/** Text for an element or a quoted attribute. What would not be seen is written out as `\u{202e}`, as on a terminal. */
export function escapeHtml(text: string, options: { keepNewlines?: boolean } = {}): string {
  return escapeMarkup(writeOutUnseen(text, options));
}

/** Several lines, for `pre` and `textarea`. */
export function lines(text: string): Html {
  return { [MARKUP]: escapeHtml(text, { keepNewlines: true }) };
}

/** A value that the browser gives back as it is and nobody reads: ids, tokens, addresses of links. */
export function exact(value: string): Html {
  return { [MARKUP]: escapeMarkup(value) };
}

/** A name or a sentence from outside: its direction stays its own, and of 10,000 characters it shows the first. */
export function outside(text: string, most = 120): Html {
  const points = Array.from(text);
  if (points.length <= most) return html`<bdi>${text}</bdi>`;
  const more = (points.length - most).toLocaleString('en-US');
  return html`<bdi>${points.slice(0, most).join('')}…</bdi> <span class="soft">(${more} more characters)</span>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** What only keeps text from being markup. Text from outside goes through `escapeHtml`. */
export function escapeMarkup(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}
