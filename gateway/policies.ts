/** The policy that a configuration names: whole, or not at all with every mistake of its files. */
import { relative } from 'node:path';
import type { Config } from './config.ts';
import { checkAgainst } from './policy/connections-check.ts';
import { ALLOW_ALL } from './policy/allow-all.ts';
import { createPolicy, type Policy } from './policy/decide.ts';
