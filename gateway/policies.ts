/** The policy that a configuration names: whole, or not at all with every mistake of its files. */
import { basename, dirname, join } from 'node:path';
import type { Config } from './config.ts';
import { readPoliciesFolder } from './policies-folder.ts';
import { ALLOW_ALL } from './policy/allow-all.ts';
import { checkAgainst } from './policy/check.ts';
import { createPolicy, type Policy } from './policy/decide.ts';
import { loadPolicy } from './policy/load.ts';
import { compilePattern } from './policy/masks/pattern.ts';
