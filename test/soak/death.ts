/** Where a gateway dies, and what its parent and it say to one another: one JSON object a line. */
import { z } from 'zod';

/** The steps of recovery, commits and sealing rounds (sealer.ts, recorder.ts, journal.ts), as createSteps names them. */
export const STEPS = [
  'journal open',
  'journal write',
  'journal fdatasync',
  'journal folder sync',
  'journal unlink',
  'write state',
  'write round',
  'clear round',
  'write checkpoint',
  'sign',
  'store segment',
  'store summary',
  'store entries',
  'store checkpoint',
] as const;

/** Before the step, after it, or once it has begun: then it may be done or not. */
export const WHENS = ['before', 'during', 'after'] as const;

const death = z.object({ step: z.enum(STEPS), when: z.enum(WHENS), skip: z.int().nonnegative() });

export type Death = z.infer<typeof death>;
export type Step = Death['step'];

/** What a child is told: to start, perhaps with its death; or, while it serves, how it dies. */
export const order = z.union([
  z.object({ start: z.object({ configFile: z.string(), death: death.optional(), powerLog: z.string().optional() }) }),
  z.object({ die: death }),
]);

export type Order = z.infer<typeof order>;

/** What a child says: that its code is loaded, where it listens, at which step it dies. */
export const word = z.union([
  z.object({ loaded: z.literal(true) }),
  z.object({ url: z.string(), key: z.string() }),
  z.object({ died: death }),
]);
