/** DECIDE: what policy says of each message. Statements in arguments are read in a worker, then it is asked again. */
import { uuidv7 } from 'uuidv7';
import { GatewayError } from '../errors.ts';
import type { Principal } from '../identity/principal.ts';
import type { Decision, PolicyInput } from '../policy/decision.ts';
import type { Readings } from '../policy/statement.ts';
import type { RecordedDecision } from '../recording/frame.ts';
import type { InForce, Runtime } from './runtime.ts';
import type { Target } from './target.ts';

export interface Judge {
  /** Never rejects: what can't be decided is denied. */
  decide(message: PolicyInput['message'], from: PolicyInput['from']): Promise<Decision>;
  inputOf(message: PolicyInput['message'], from: PolicyInput['from']): PolicyInput;
}

/** A condition that asks for statements one after another; each is read once. */
const MOST_ROUNDS = 16;
const NOTHING_READ: Readings = new Map();

export function createJudge(
  runtime: Pick<Runtime, 'statements' | 'clock' | 'metrics'>,
  { policy }: Pick<InForce, 'policy'>,
  target: Target,
  who: { readonly principal: Principal; readonly access: PolicyInput['access'] },
): Judge {
  const { connection } = target;
  const judge: Judge = {
    inputOf: (message, from) => ({
      principal: who.principal,
      connection: connection.name,
      access: who.access,
      clientAddress: target.address,
      from,
      message,
      now: runtime.clock.millis(),
    }),
    async decide(message, from) {
      const made = await decideOn(judge.inputOf(message, from));
      runtime.metrics.decided(connection.name, made.effect);
      return made;
    },
  };
  return judge;

  async function decideOn(input: PolicyInput): Promise<Decision> {
    let readings = NOTHING_READ;
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const made = policy.decide(input, readings, connection.dialect);
      if (!('needs' in made)) return made;
      readings = new Map([...readings, ...(await runtime.statements.read(made.needs, askerOf(who.principal)))]);
    }
    return { ...UNDECIDED, words: 'Its conditions ask for too many statements.' };
  }
}

/** Whose statements wait for one another. */
function askerOf({ issuer, subject }: Principal): string {
  return JSON.stringify([issuer, subject]);
}

/** What nobody has decided on does not pass. */
export const UNDECIDED: Decision = {
  effect: 'deny',
  rules: [],
  words: 'Nothing allows it.',
  masks: [],
  maskRequests: [],
  replaceBlobs: [],
  limits: [],
  approvals: [],
  screens: [],
};

export function recordedDecision({ effect, rules, masks, shadow }: Decision): RecordedDecision {
  return {
    effect,
    rules,
    decision_id: uuidv7(),
    ...(masks.length === 0 ? {} : { masks: masks.map(({ name }) => name) }),
    ...(shadow === undefined ? {} : { shadow }),
  };
}

/** Why these may not pass, if one of them may not: of a batch none passes alone. */
export function refusalOf(decisions: readonly Decision[]): GatewayError | undefined {
  const denied = decisions.find(({ effect }) => effect === 'deny');
  if (denied !== undefined) return new GatewayError('denied', 'not_forwarded', denied.words);
  if (decisions.length > 1 && decisions.some(({ effect }) => effect === 'approve')) {
    return new GatewayError('denied', 'not_forwarded', 'A call that needs approval can not be part of a batch.');
  }
  return undefined;
}
