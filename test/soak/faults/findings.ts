/** What the soak finds, added up. */
import type { Store } from '../../../gateway/store/store.ts';
import type { Tally } from './tally.ts';
import type { Tape } from './tape.ts';

export interface Figures {
  /** A fault, what it struck, and how it was taken. */
  cells: number;
  strikes: number;
  segments: number;
  checkpoints: number;
  frames: number;
  /** Frames that were told to be durable, and frames that were refused. */
  acknowledged: number;
  refused: number;
  logins: number;
  approvals: number;
  /** Logins and approvals that came to nothing, as those concerned were told. */
  withheld: number;
  lost: number;
  doubled: number;
  /** Names of ours that were taken, and those of them at which sealing stopped, and said so. */
  foreign: number;
  told: number;
  /** All else that is not as it should be. */
  wrong: number;
}

export interface Findings {
  readonly figures: Readonly<Figures>;
  readonly problems: readonly string[];
  cell(name: string, strikes: number): void;
  wrong(words: string): void;
  tally(what: 'logins' | 'approvals', name: string, tally: Tally): void;
  /** Seals what is left, proves the store and holds it against what was told. */
  prove(name: string, tape: Tape, store: Store): Promise<void>;
  foreign(taken: number, told: number): void;
}

const MOST_PROBLEMS = 30;

export function createFindings(say: (line: string) => void): Findings {
  const figures: Figures = {
    cells: 0,
    strikes: 0,
    segments: 0,
    checkpoints: 0,
    frames: 0,
    acknowledged: 0,
    refused: 0,
    logins: 0,
    approvals: 0,
    withheld: 0,
    lost: 0,
    doubled: 0,
    foreign: 0,
    told: 0,
    wrong: 0,
  };
  const problems: string[] = [];

  function note(words: string): void {
    if (problems.length < MOST_PROBLEMS) problems.push(words);
  }
  function wrong(words: string): void {
    figures.wrong++;
    note(words);
  }

  return {
    figures,
    problems,
    wrong,
    cell(name, strikes) {
      figures.cells++;
      figures.strikes += strikes;
      // What never failed proves nothing.
      if (strikes === 0) wrong(`${name}: it never struck.`);
      say(`${name}: ${strikes}`);
    },
    tally(what, name, { done, withheld, lost, doubled }) {
      figures[what] += done;
      figures.withheld += withheld;
      figures.lost += lost;
      figures.doubled += doubled;
      if (lost + doubled > 0) note(`${name}: ${lost} lost, ${doubled} doubled.`);
    },
    async prove(name, tape, store) {
      if (!(await tape.seal())) wrong(`${name}: not everything could be sealed.`);
      const { verification, compared, unreadable } = await tape.check(store);
      const { acknowledged, refused } = tape.told();
      figures.segments += verification.segments;
      figures.checkpoints += verification.checkpoints;
      figures.frames += verification.frames;
      figures.acknowledged += acknowledged;
      figures.refused += refused;
      figures.lost += compared.lost;
      figures.doubled += compared.doubled;
      if (compared.lost + compared.doubled > 0) note(`${name}: ${compared.lost} lost, ${compared.doubled} doubled.`);
      if (compared.untrue > 0) wrong(`${name}: ${compared.untrue} frames were refused and are recorded.`);
      if (verification.pending > 0) wrong(`${name}: ${verification.pending} objects are under no checkpoint.`);
      for (const { code, object, words } of verification.problems) wrong(`${name}: ${code} ${object}: ${words}`);
      for (const words of unreadable) wrong(`${name}: ${words}`);
      say(`${name}: ${verification.segments} segments, ${acknowledged} frames acknowledged, ${refused} refused`);
    },
    foreign(taken, told) {
      figures.foreign += taken;
      figures.told += told;
      if (told < taken) wrong(`Names that were taken: ${taken}, told: ${told}.`);
    },
  };
}
