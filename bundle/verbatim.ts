/** Entry of `dist/verbatim.mjs`, what is deployed: the roles and the reading commands, without the demo. */
import { start } from './start.ts';

await start(() => import('../gateway/cli/main.ts'));
