/** Screening from a bundle: Google's client finds all that it needs in the one file, and help does not load it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type GoogleDouble, startGoogle } from '../test/google/google.ts';
import { MARKS } from '../test/google/model-armor.ts';
import { bundleProgram } from './bundle.ts';

const root = join(import.meta.dirname, '..');
const TEMPLATE = 'projects/verbatim/locations/europe-west4/templates/strict';

let folder = '';
let google: GoogleDouble;
let program = '';
before(async () => {
  google = await startGoogle();
  google.modelArmor.templates.add(TEMPLATE);
  folder = await mkdtemp(join(tmpdir(), 'verbatim-armor-'));
  const copy = join(folder, 'checkout');
  for (const part of ['gateway', 'demo', 'bundle', 'package.json', 'tsconfig.json']) {
    await cp(join(root, part), join(copy, part), { recursive: true });
  }
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'), 'junction');
  // In the place of the demo's command, so that exactly the options of the deployed bundle are what runs.
  await writeFile(
    join(copy, 'bundle/no-demo.ts'),
    `export async function runDemo() {
      const { createScreening } = await import('../gateway/screening/screening.ts');
      const screening = createScreening({ google: { modelArmor: '${google.url}' }, now: Date.now });
      const text = '${MARKS.injection}';
      const asked = { template: '${TEMPLATE}', part: 'results', text, timeout: 30_000 } as const;
      process.stdout.write(JSON.stringify(await screening.screen(asked)));
      await screening.close();
    }\n`,
  );
  ({ file: program } = await bundleProgram('verbatim', { root: copy, out: join(folder, 'dist') }));
});
after(async () => {
  await google.close();
  await rm(folder, { recursive: true, force: true });
});

function run(args: readonly string[], options: readonly string[] = []): Promise<{ out: string; err: string }> {
  return new Promise((done) => {
    execFile(process.execPath, [...options, program, ...args], { cwd: folder }, (_, out, err) => done({ out, err }));
  });
}

test('a text is screened from a bundle', async () => {
  assert.deepEqual(await run(['demo']), { out: '{"kind":"match","filters":["pi_and_jailbreak"]}', err: '' });
});

test('help does not load the client', async () => {
  // When it is loaded, google-gax makes agents that keep sockets alive.
  const spy = `data:text/javascript,${encodeURIComponent(`
    import { syncBuiltinESMExports } from 'node:module';
    import https from 'node:https';
    const Agent = https.Agent;
    https.Agent = class extends Agent {
      constructor(options) { super(options); if (options?.keepAlive) console.error('client loaded'); }
    };
    syncBuiltinESMExports();`)}`;
  assert.match((await run(['demo'], ['--import', spy])).err, /client loaded/);
  const { out, err } = await run(['--help'], ['--import', spy]);
  assert.match(out, /Usage: verbatim/);
  assert.equal(err, '');
});
