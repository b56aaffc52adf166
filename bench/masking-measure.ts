import { createDetection, type Detection } from '../gateway/policy/masks/detect.ts';
import { type Line, makeLines } from './masking-corpus.ts';
import { type Corpus, KINDS, type Kind } from './masking-values.ts';

export interface Row {
  readonly kind: Kind;
  readonly values: number;
  /** Share of values of which nothing is left, all detectors on, and this one alone. */
  readonly gone: number;
  readonly goneAlone: number;
  /** Share of clean lines that this detector alone changes. */
  readonly changed: number;
}

export interface Masking {
  readonly corpus: string;
  readonly seed: number;
  readonly lines: number;
  readonly rows: readonly Row[];
  /** Share of clean lines changed, all detectors on. */
  readonly changed: number;
  /** 10^6 UTF-8 bytes a second of CPU over lines where nothing is found, one by one and joined to 64 KiB; null where not measured. */
  readonly speed: { readonly lines: number; readonly documents: number } | null;
}

export const GOALS = {
  gone: {
    email: 0.95,
    card: 0.95,
    iban: 0.95,
    ssn: 0.95,
    ip: 0.95,
    phone: 0.85,
    secret: 0.95,
    privateKey: 0.95,
    jwt: 0.95,
  },
  changed: 0.01,
  speed: 20,
} as const satisfies { gone: Record<Kind, number>; changed: number; speed: number };

/** Replaces what is found, as a mask does; the tag's digits are nobody's here. */
export function replace(detection: Detection, text: string): string {
  let masked = '';
  let at = 0;
  for (const { start, end, detector } of detection.find(text)) {
    masked += `${text.slice(at, start)}[${detector}:3f2a91c4]`;
    at = end;
  }
  return masked + text.slice(at);
}

/** Nothing of a value is left when every letter and digit of it was replaced. */
function isGone(detection: Detection, text: string, start: number, end: number): boolean {
  const findings = detection.find(text);
  for (let at = start; at < end; at++) {
    const within = findings.some((finding) => finding.start <= at && at < finding.end);
    if (!within && /[\p{L}\p{N}]/u.test(text[at] ?? '')) return false;
  }
  return true;
}

export function measureMasking(corpus: Corpus, seed: number, count: number, withSpeed: boolean): Masking {
  const lines = makeLines(corpus, seed, count);
  const labelled = lines.filter(({ values }) => values.length > 0);
  const clean = lines.filter(({ values }) => values.length === 0).map(({ text }) => text);
  const all = createDetection(KINDS.map((name) => ({ name })));
  const rows = KINDS.map((kind) => measureKind(kind, all, labelled, clean));
  const untouched = clean.filter((text) => replace(all, text) === text);
  return {
    corpus: corpus.name,
    seed,
    lines: count,
    rows,
    changed: 1 - untouched.length / clean.length,
    speed: withSpeed ? measureSpeed(all, untouched) : null,
  };
}

function measureKind(kind: Kind, all: Detection, labelled: readonly Line[], clean: readonly string[]): Row {
  const alone = createDetection([{ name: kind }]);
  let values = 0;
  let gone = 0;
  let goneAlone = 0;
  for (const line of labelled) {
    for (const { start, end, ...value } of line.values) {
      if (value.kind !== kind) continue;
      values++;
      if (isGone(all, line.text, start, end)) gone++;
      if (isGone(alone, line.text, start, end)) goneAlone++;
    }
  }
  const changed = clean.filter((text) => replace(alone, text) !== text).length;
  return { kind, values, gone: gone / values, goneAlone: goneAlone / values, changed: changed / clean.length };
}

const documentLength = 65_536;
const roundMs = 300;

function measureSpeed(detection: Detection, lines: readonly string[]): { lines: number; documents: number } {
  const documents: string[] = [];
  let document = '';
  for (const line of lines) {
    document += `${line}\n`;
    if (document.length < documentLength) continue;
    documents.push(document);
    document = '';
  }
  documents.push(document);
  return { lines: bestRate(detection, lines), documents: bestRate(detection, documents) };
}

/** By CPU time, and the best of a few rounds: what else runs on this machine says nothing of the detectors. */
function bestRate(detection: Detection, texts: readonly string[]): number {
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  let best = 0;
  for (let round = 0; round < 4; round++) {
    const start = process.cpuUsage();
    const spent = () => {
      const { user, system } = process.cpuUsage(start);
      return (user + system) / 1000;
    };
    let passes = 0;
    while (spent() < roundMs) {
      for (const text of texts) detection.find(text);
      passes++;
    }
    best = Math.max(best, (bytes * passes) / 1000 / spent());
  }
  return best;
}

/** Which goals a measurement misses, in words. */
export function missedGoals({ rows, changed, speed }: Masking): string[] {
  const missed: string[] = [];
  for (const { kind, gone, values } of rows) {
    if (values === 0 || gone < GOALS.gone[kind])
      missed.push(`${kind}: ${percent(gone)} gone, ${percent(GOALS.gone[kind])} wanted`);
  }
  if (changed > GOALS.changed)
    missed.push(`${percent(changed)} of clean lines changed, ${percent(GOALS.changed)} allowed`);
  const slowest = speed ? Math.min(speed.lines, speed.documents) : Number.POSITIVE_INFINITY;
  if (slowest < GOALS.speed) missed.push(`${slowest.toFixed(1)} MB/s where nothing is found, ${GOALS.speed} wanted`);
  return missed;
}

export const percent = (share: number) => `${(share * 100).toFixed(2)} %`;
