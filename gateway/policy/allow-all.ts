/** What `policies: allow-all` says: one rule that lets everything pass, unknown methods and servers' messages too. */
import { createHash } from 'node:crypto';
import type { PolicySet } from './policy-set.ts';

const canonical = Buffer.from(
  `${JSON.stringify({ v: 1, policies: 'allow-all', rules: [{ name: 'no-policy', effect: 'allow' }] })}\n`,
);

export const ALLOW_ALL: PolicySet = {
  rules: [
    {
      name: 'no-policy',
      file: '',
      line: 0,
      principals: {},
      connections: ['*'],
      methods: ['*'],
      names: {},
      effect: 'allow',
      masks: [],
      maskRequests: [],
      replaceBlobs: [],
      limits: {},
      mode: 'enforce',
    },
  ],
  patterns: {},
  pins: new Map(),
  canonical,
  digest: createHash('sha256').update(canonical).digest('hex'),
};
