/**
 * Screening by a service that judges content (Google Model Armor), where a rule asks for it: requests before they are
 * recorded, parts of answers before they are released. The verdict is recorded; without one `enforce` refuses.
 */
import { type Fate, GatewayError } from '../errors.ts';
import { parseJson } from '../mcp/parse.ts';
import type { Decision } from '../policy/decision.ts';
import type { ScreenedPart } from '../policy/rule.ts';
import { textOf } from '../policy/screened-text.ts';
import type { RecordedVerdict } from '../recording/frame.ts';
import type { Call } from './exchange.ts';
import type { OutPart } from './response-stream.ts';
import type { Runtime } from './runtime.ts';
import type { Stage } from './way-back.ts';

export interface Screened {
  readonly verdicts: readonly RecordedVerdict[];
  readonly refused?: GatewayError;
}

type Screen = Decision['screens'][number];

/** Asks for every rule that has this part screened. Never rejects. */
export async function screen(
  runtime: Pick<Runtime, 'screening'>,
  screens: readonly Screen[],
  part: ScreenedPart,
  text: string,
  { signal, fate }: { readonly signal: AbortSignal; readonly fate: Fate },
): Promise<Screened> {
  const asked = screens.filter(({ modelArmor }) => modelArmor.of.includes(part));
  if (asked.length === 0 || text === '') return { verdicts: [] };
  const verdicts: RecordedVerdict[] = [];
  let refused: GatewayError | undefined;
  for (const { rule, modelArmor } of asked) {
    const { template, timeout, onMatch, mode } = modelArmor;
    const verdict = await runtime.screening.screen({ template, part, text, timeout, signal });
    const details = verdict.kind === 'match' ? verdict.filters : verdict.kind === 'none' ? [verdict.why] : undefined;
    verdicts.push({ rule, part, verdict: verdict.kind, ...(details === undefined ? {} : { details }) });
    if (verdict.kind === 'match' && onMatch === 'deny') {
      refused ??= new GatewayError('screened', fate, `Rule ${rule}: ${verdict.filters.join(', ')}.`);
    }
    if (verdict.kind === 'none' && mode === 'enforce') refused ??= new GatewayError('screening_unavailable', fate);
  }
  return { verdicts, ...(refused === undefined ? {} : { refused }) };
}

/** Of answers: tool descriptions in lists, resources that are read, the results of everything else. */
export function createScreeningStage({ runtime, decisions, read }: Call, over: AbortSignal): Stage {
  const screens = decisions.flatMap(({ screens: each }) => each);
  const methods = new Set(read.messages.map(({ method }) => method));
  const part: ScreenedPart = methods.has('tools/list')
    ? 'descriptions'
    : methods.has('resources/read')
      ? 'resources'
      : 'results';
  return async (piece): Promise<OutPart> => {
    if (piece.data === undefined || piece.data.length === 0) return piece;
    const text = textIn(piece.data, part);
    const { verdicts, refused } = await screen(runtime, screens, part, text, {
      signal: over,
      fate: 'outcome_withheld',
    });
    if (refused !== undefined) throw refused;
    return verdicts.length === 0 ? piece : { ...piece, screened: verdicts };
  };
}

/** Of every message in it; of what is no JSON all of it. */
export function textIn(data: Buffer, part: ScreenedPart): string {
  try {
    const said: unknown = parseJson(data);
    return (Array.isArray(said) ? said : [said]).map((one) => textOf(one, part)).join('\n');
  } catch {
    return data.toString('utf8');
  }
}
