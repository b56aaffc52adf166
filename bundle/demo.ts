/** Entry of `dist/demo.mjs`: the parts of the demo around a gateway that runs elsewhere. Never deployed. */
import { start } from './start.ts';

await start(() => import('../demo/main.ts'));
