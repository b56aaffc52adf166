/** Entry of `dist/verbatim.mjs`, what is deployed: the roles and the reading commands, without the demo. */
import { isStatementWorker } from '../gateway/statements/role.ts';
import { start } from './start.ts';

// Threads begin in this file, too: there is no other.
if (isStatementWorker()) await import('../gateway/statements/worker.ts');
else await start(() => import('../gateway/cli/main.ts'));
