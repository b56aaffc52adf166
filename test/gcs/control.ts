import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { FaultName, FaultPlan, Faults } from './faults.ts';
import { OPERATIONS, type Operation } from './route.ts';
import type { Answer, World } from './world.ts';

const operation = z.enum(OPERATIONS);
const planShape = z.strictObject({
  fault: z.string(),
  operation: z.union([operation, z.array(operation)]).optional(),
  bucket: z.string().optional(),
  prefix: z.string().optional(),
  name: z.string().optional(),
  after: z.int().min(0).optional(),
  times: z.int().min(1).optional(),
  probability: z.number().min(0).max(1).optional(),
  seed: z.int().optional(),
  retryAfter: z.int().optional(),
  skew: z.int().optional(),
});

export type Control = (method: string, path: string, body: Buffer) => Answer;

/**
 * For other processes: `POST /_control/faults` with a plan, `GET` and `DELETE` of the same, `GET /_control/calls`, and
 * `GET /_control/objects/BUCKET` with size and SHA-256 of each.
 */
export function control(parts: { world: World; faults: Faults; calls: Readonly<Record<Operation, number>> }): Control {
  const { world, faults, calls } = parts;
  return (method, path, body) => {
    if (path === '/_control/faults' && method === 'POST') return addFault(faults, body);
    if (path === '/_control/faults' && method === 'GET') return { status: 200, json: faults.list() };
    if (path === '/_control/faults' && method === 'DELETE') {
      faults.clear();
      return { status: 204, bytes: Buffer.alloc(0) };
    }
    if (path === '/_control/calls' && method === 'GET') return { status: 200, json: calls };
    const bucket = world.buckets.get(/^\/_control\/objects\/([^/]+)$/.exec(path)?.[1] ?? '');
    if (bucket === undefined || method !== 'GET') return { status: 404, json: { error: 'not_found' } };
    const objects = [...bucket.objects.values()].map(({ name, bytes, generation, metageneration }) => {
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      return { name, size: bytes.length, sha256, generation: String(generation), metageneration };
    });
    return { status: 200, json: objects };
  };
}

function addFault(faults: Faults, body: Buffer): Answer {
  try {
    const { fault, ...rest } = planShape.parse(JSON.parse(body.toString('utf8')));
    // `add` refuses a name that is none.
    faults.add({ fault: fault as FaultName, ...rest } as FaultPlan);
    return { status: 201, json: {} };
  } catch (error) {
    return { status: 400, json: { error: error instanceof Error ? error.message : 'invalid' } };
  }
}
