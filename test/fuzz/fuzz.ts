import fc from 'fast-check';
import { bytesLexer, lexer, scanner, splice, walk } from './properties-json.ts';
import { chunks, event, json, spoiltJson, text } from './properties-masks.ts';
import { byteByByte, splitter } from './properties-sse.ts';

export type Properties = Readonly<
  Record<string, { readonly share: number; readonly property: fc.IRawProperty<unknown> }>
>;

/** Every property, by name, with its share of the runs. */
export const PROPERTIES: Properties = {
  'strict JSON lexer': { share: 2, property: lexer },
  'strict JSON lexer, any byte': { share: 1, property: bytesLexer },
  'JSON walker': { share: 1, property: walk },
  'JSON splice': { share: 1, property: splice },
  'message scanner': { share: 2, property: scanner },
  'SSE splitter': { share: 1, property: splitter },
  'SSE splitter, byte by byte': { share: 1, property: byteByByte },
  'masked JSON': { share: 2, property: json },
  'masked JSON, spoilt': { share: 1, property: spoiltJson },
  'masked text': { share: 1, property: text },
  'masked event': { share: 1, property: event },
  'masked stream, any chunks': { share: 1, property: chunks },
};

/** Runs between two words of progress; each such slice has a seed of its own, so that it can be run again alone. */
const SLICE = 2_000;

export interface FuzzFailure {
  readonly property: string;
  /** With these `--only`, `--seed` and `--runs` it fails again. */
  readonly seed: number;
  readonly runs: number;
  /** The shrunk counterexample and what was wrong with it. */
  readonly report: string;
}

export interface FuzzReport {
  readonly seed: number;
  readonly runs: number;
  readonly seconds: number;
  readonly properties: readonly { readonly name: string; readonly runs: number; readonly seconds: number }[];
  readonly failures: readonly FuzzFailure[];
}

/** Spreads `runs` over the properties, or gives all to the one named `only`. Every property has at least one. */
export function fuzz(
  order: { readonly runs: number; readonly seed: number; readonly only?: string | undefined },
  progress: (line: string) => void,
  all: Properties = PROPERTIES,
): FuzzReport {
  const begun = performance.now();
  const chosen = Object.entries(all).filter(([name]) => order.only === undefined || name === order.only);
  const shares = chosen.reduce((sum, [, { share }]) => sum + share, 0);
  const failures: FuzzFailure[] = [];
  const properties = chosen.map(([name, { share, property }]) => {
    const wanted = Math.max(1, Math.round((order.runs * share) / shares));
    const start = performance.now();
    let runs = 0;
    for (let slice = 0; runs < wanted; slice++) {
      const numRuns = Math.min(SLICE, wanted - runs);
      const seed = (order.seed + slice) | 0;
      // None of the properties is asynchronous.
      const details = fc.check(property, { numRuns, seed }) as fc.RunDetails<unknown>;
      runs += details.numRuns;
      if (details.failed) {
        failures.push({ property: name, seed, runs: numRuns, report: reportOf(details) });
        break;
      }
      progress(`${name}: ${runs} of ${wanted}`);
    }
    return { name, runs, seconds: seconds(start) };
  });
  const runs = properties.reduce((sum, each) => sum + each.runs, 0);
  return { seed: order.seed, runs, seconds: seconds(begun), properties, failures };
}

function reportOf(details: fc.RunDetails<unknown>): string {
  const error = details.errorInstance;
  return [fc.defaultReportMessage(details), error instanceof Error ? error.stack : error].join('\n');
}

function seconds(since: number): number {
  return Math.round((performance.now() - since) / 10) / 100;
}
