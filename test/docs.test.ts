/** The documents, held against the program: examples are parsed by the real readers, tables compared with the code. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { parse, stringify } from 'yaml';
import { loadConfigFile } from '../gateway/config-file.ts';
import { configSchema } from '../gateway/config-schema.ts';
import { type ErrorCode, GatewayError } from '../gateway/errors.ts';
import { parseManifest } from '../gateway/ledger/manifest.ts';
import { leafHash } from '../gateway/ledger/tree.ts';
import { createLedgerVerifier, verifySegment } from '../gateway/ledger/verify.ts';
import { createMetrics } from '../gateway/metrics.ts';
import { ALLOW_ALL } from '../gateway/policy/allow-all.ts';
import { loadPolicy } from '../gateway/policy/load.ts';
import { compilePattern } from '../gateway/policy/masks/pattern.ts';
import { pieceBytes } from '../gateway/recording/frame.ts';
import { readFrame } from '../gateway/recording/read-frame.ts';
import { readSummary } from '../gateway/recording/read-summary.ts';
import { sha256 } from '../gateway/recording/round.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const pages = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', ...globSync('docs/**/*.md', { cwd: root })];
const sources = (pattern: string): string =>
  globSync(pattern, { cwd: root })
    .filter((path) => !path.endsWith('.test.ts'))
    .map(read)
    .join('\n');
const found = (text: string, pattern: RegExp): Set<string> =>
  new Set([...text.matchAll(pattern)].map((match) => match[1] ?? ''));

interface Block {
  readonly info: string;
  readonly text: string;
}

function blocks(page: string): Block[] {
  return [...read(page).matchAll(/^```([^\n]+)\n([\s\S]*?)^```$/gm)].map(([, info = '', text = '']) => ({
    info,
    text,
  }));
}

function block(page: string, info: string): string {
  const [only, another] = blocks(page).filter((one) => one.info === info);
  assert.ok(only !== undefined && another === undefined, `${page} has one block ${info}`);
  return only.text;
}

/** The cells of the table rows below a heading. */
function rows(page: string, heading: string): string[][] {
  const [, below = ''] = read(page).split(new RegExp(`^#+ ${heading}$`, 'm'));
  const [section = ''] = below.split(/^#+ /m);
  const cells = section
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => line.slice(1, -1).split(/(?<!\\)\|/))
    .map((row) => row.map((cell) => cell.trim()));
  assert.ok(cells.length > 1, `${page} has a table below ${heading}`);
  return cells.slice(1);
}

const names = (cell = ''): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name);
const sorted = (all: Iterable<string>): string[] => [...new Set(all)].sort();

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'verbatim-docs-'));
});
after(() => rm(folder, { recursive: true, force: true }));

async function load(yaml: string): Promise<ReturnType<typeof loadConfigFile>> {
  const path = join(folder, 'gateway.yaml');
  await writeFile(path, yaml);
  return loadConfigFile(path);
}

const slug = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

test('links lead to files and headings, and named source files exist', () => {
  for (const page of pages) {
    const text = read(page);
    for (const [, target = ''] of text.matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? page : join(dirname(page), path);
      assert.ok(existsSync(join(root, file)), `${page}: ${target}`);
      if (anchor === undefined) continue;
      const headings = [...read(file).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => slug(heading));
      assert.ok(headings.includes(anchor), `${page}: ${target}`);
    }
    for (const [, path = ''] of text.matchAll(/`((?:gateway|demo|test|bench|docs)\/[A-Za-z0-9_./-]+\.[a-z]+)`/g)) {
      assert.ok(existsSync(join(root, path)), `${page}: ${path}`);
    }
  }
});

test('example configurations load', async () => {
  const examples = pages.flatMap((page) => blocks(page).filter(({ info }) => info === 'yaml'));
  assert.ok(examples.length >= 3);
  for (const { text } of examples) {
    const loaded = await load(text);
    assert.deepEqual(loaded.ok ? [] : loaded.problems, []);
  }
  const around = ['yaml', 'yaml login'].map((wanted) =>
    parse(blocks('docs/configuration.md').findLast(({ info }) => info === wanted)?.text ?? ''),
  );
  const parts = pages.flatMap((page) => blocks(page).filter(({ info }) => /^yaml (login|connections)$/.test(info)));
  assert.ok(parts.length >= 2);
  for (const { text } of parts) {
    const loaded = await load(stringify(Object.assign({}, ...around, parse(text))));
    assert.deepEqual(loaded.ok ? [] : loaded.problems, []);
  }
});

test('every block of YAML with rules or patterns is a policy that loads', () => {
  const written = pages
    .flatMap((page) => blocks(page).map((one) => ({ page, ...one })))
    .filter(({ info, text }) => /^ya?ml\b/.test(info) && /^(rules|patterns):/m.test(text));
  assert.ok(written.length >= 4);
  for (const { page, text } of written) {
    const loaded = loadPolicy([{ path: 'access/example.yaml', text }], compilePattern);
    assert.deepEqual(loaded.ok ? [] : loaded.problems, [], page);
  }
  // Indented, nobody would try them.
  const unfenced = (page: string): string => read(page).replace(/^```[\s\S]*?^```$/gm, '');
  for (const page of pages) assert.ok(!/^ {4,}(rules:|patterns:|- name: )/m.test(unfenced(page)), page);
});

interface SchemaDefinition {
  readonly type: string;
  readonly shape?: Record<string, { def: SchemaDefinition }>;
  readonly innerType?: { def: SchemaDefinition };
  readonly in?: { def: SchemaDefinition };
  readonly valueType?: { def: SchemaDefinition };
}

function keysOf({ type, shape, innerType, in: input, valueType }: SchemaDefinition, at: string): string[] {
  const join_ = (key: string): string => (at === '' ? key : `${at}.${key}`);
  if (shape !== undefined) return Object.entries(shape).flatMap(([key, { def }]) => keysOf(def, join_(key)));
  if (type === 'record' && valueType !== undefined) return keysOf(valueType.def, join_('<name>'));
  const inner = innerType ?? input;
  return inner === undefined ? [at] : keysOf(inner.def, at);
}

test('every key of the configuration has its row', () => {
  const documented = new Set(rows('docs/configuration.md', 'Keys').flatMap(([key]) => names(key)));
  const keys = keysOf((configSchema as unknown as { def: SchemaDefinition }).def, '');
  assert.ok(keys.length > 45);
  const covered = (key: string): boolean =>
    documented.has(key) || (key.includes('.') && covered(key.replace(/\.[^.]+$/, '')));
  assert.deepEqual(
    keys.filter((key) => !covered(key)),
    [],
  );
  const known = (key: string): boolean => keys.some((one) => one === key || one.startsWith(`${key}.`));
  assert.deepEqual(
    [...documented].filter((key) => !known(key)),
    [],
  );
});

test('the defaults are those of the program: writing one out changes nothing', async () => {
  const least = blocks('docs/configuration.md').findLast(({ info }) => info === 'yaml')?.text ?? '';
  const login = parse(block('docs/configuration.md', 'yaml login')) as { login: Record<string, unknown> };
  let compared = 0;
  for (const [key, value] of rows('docs/configuration.md', 'Keys')) {
    const [path, ...others] = names(key);
    const [written] = names(value);
    if (path === undefined || others.length > 0 || value !== `\`${written}\``) continue;
    const tree = parse(least) as Record<string, unknown>;
    if (path.startsWith('login.')) {
      const [, kind] = /^login\.providers\.<name>\.(google|entra|saml)\./.exec(path) ?? [];
      const providers = kind === undefined ? {} : { providers: { corp: leastProvider(kind) } };
      tree.login = { ...login.login, clients: { robot: LEAST_AGENT }, ...providers };
      // Their defaults are what is compared.
      if (path === 'login.secrets') tree.login = { providers: login.login.providers };
    }
    if (path.startsWith('webhooks.')) tree.webhooks = { ops: LEAST_WEBHOOK };
    const plain = await load(stringify(tree));
    const steps = path
      .replace('webhooks.<name>', 'webhooks.ops')
      .replace('issuers.<name>', 'issuers.corp')
      .replace('connections.<name>', 'connections.orders')
      .replace('providers.<name>', 'providers.corp')
      .replace('clients.<name>', 'clients.robot')
      .split('.');
    const last = steps.pop() ?? '';
    let place = tree;
    for (const step of steps) {
      place[step] ??= {};
      place = place[step] as Record<string, unknown>;
    }
    assert.equal(place[last], undefined, `${path} is in the least configuration`);
    place[last] = parse(written ?? '');
    const loaded = await load(stringify(tree));
    assert.ok(loaded.ok && plain.ok && loaded.digest === plain.digest, `${path}: ${written}`);
    compared++;
  }
  assert.ok(compared > 45);
});

test('the defaults of access for a time are those of the program', async () => {
  const least = blocks('docs/configuration.md').findLast(({ info }) => info === 'yaml')?.text ?? '';
  const access: Record<string, Record<string, unknown>> = {};
  const withAccess = async () => {
    const tree = parse(least) as { connections: { orders: object } };
    Object.assign(tree.connections.orders, { access });
    return load(stringify(tree));
  };
  const keys = rows('docs/configuration.md', 'Access for a time').map(([key, value = '']) => {
    const [way = '', member = ''] = names(key)[0]?.split('.') ?? [];
    return { way, member, value };
  });
  for (const { way, member, value } of keys) {
    access[way] ??= {};
    if (value === 'required') access[way][member] = ['leads'];
  }
  const plain = await withAccess();
  const written = keys.filter(({ value }) => value !== 'required');
  for (const { way, member, value } of written) Object.assign(access[way] ?? {}, { [member]: names(value)[0] });
  const loaded = await withAccess();
  assert.ok(written.length === 2 && plain.ok && loaded.ok && plain.digest === loaded.digest);
});

const LEAST_WEBHOOK = { url: 'https://alerts.example.com/verbatim', secret: 'env:WEBHOOK_SECRET' };
const LEAST_AGENT = { secret: 'env:ROBOT_SECRET', agent: { groups: ['robots'], owner: 'platform' } };

/** Of the pages about that kind. */
function leastProvider(kind: string): unknown {
  const parts = globSync('docs/identity/*.md', { cwd: root }).flatMap(blocks);
  for (const { info, text } of parts) {
    if (info !== 'yaml part' && info !== 'yaml') continue;
    const { providers = {} } = asLogin(parse(text));
    const [provider] = Object.values(providers).filter((one) => one[kind] !== undefined);
    if (provider === undefined) continue;
    const needed: Record<string, string[]> = {
      google: ['clientId', 'clientSecret', 'hostedDomains'],
      entra: ['tenant', 'clientId', 'clientSecret'],
      saml: ['entryPoint', 'entityId', 'certificates'],
    };
    const written = Object.entries(provider[kind] ?? {}).filter(([key]) => needed[kind]?.includes(key));
    return { [kind]: Object.fromEntries(written) };
  }
  return assert.fail(`no page shows a provider of kind ${kind}`);
}

/** Of a whole file, or of what stands below `login`. */
function asLogin(part: unknown): { providers?: Record<string, Record<string, Record<string, unknown>>> } {
  const { login, ...own } = (part ?? {}) as Record<string, never>;
  return login ?? own;
}

const FORMAT = 'docs/recording-format.md';
const linesOf = (text: string): string[] => text.trimEnd().split('\n');

test('example frames are frames', () => {
  const kinds = blocks(FORMAT)
    .filter(({ info }) => info.startsWith('ndjson frames'))
    .flatMap(({ text }) => linesOf(text))
    .map((line) => {
      const frame = readFrame(line);
      assert.notEqual(frame.kind, 'unreadable', line);
      return frame.kind === 'frame' ? frame.frame.type : frame.kind;
    });
  assert.deepEqual(sorted(kinds), [
    'approval',
    'data',
    'end',
    'event',
    'gap',
    'request',
    'response',
    'session.start',
    'strand.end',
    'unknown',
  ]);
});

test('tags of the example frames stand where their spans say', () => {
  let unit = Buffer.alloc(0);
  let seen = 0;
  for (const { text } of blocks(FORMAT).filter(({ info }) => info === 'ndjson frames policy')) {
    for (const frame of linesOf(text).map((line) => JSON.parse(line))) {
      if (frame.type !== 'request' && frame.type !== 'data') continue;
      if (frame.type === 'request') assert.equal(pieceBytes(frame.body).length, frame.bytes);
      unit = Buffer.concat([unit, pieceBytes(frame.type === 'request' ? frame.body : frame)]);
      for (const { at, length, detector } of frame.masks ?? []) {
        const tag = unit.subarray(at, at + length).toString();
        assert.match(tag, new RegExp(`^\\[${detector}:[0-9a-f]{8}\\]$`));
        seen++;
      }
      if (frame.more !== true) unit = Buffer.alloc(0);
    }
  }
  assert.equal(seen, 3);
});

test('the example policy is the one of allow-all, to the byte', () => {
  assert.equal(block(FORMAT, 'json policy'), ALLOW_ALL.canonical.toString());
  const digest = (line: string): unknown => JSON.parse(line).start?.policy;
  const [start = ''] = linesOf(block(FORMAT, 'ndjson frames session'));
  assert.equal(digest(start), ALLOW_ALL.digest);
});

test('the example ledger verifies, from frames to the signed root', () => {
  const bytes = (info: string): Buffer => Buffer.from(block(FORMAT, info).replaceAll('\n', ''), 'base64');
  const entries = [0, 1].map((number) => block(FORMAT, `ndjson entries ${number}`));
  const frames = linesOf(block(FORMAT, 'ndjson frames session'));
  const manifests = entries.flatMap((text) => linesOf(text).map((line) => parseManifest(line)));

  const segments = manifests.filter((manifest) => manifest.kind === 'segment');
  const lines = segments.flatMap(
    (manifest, number) => verifySegment(manifest, bytes(`base64 segment ${number}`)).lines,
  );
  assert.deepEqual(lines, frames);
  assert.equal(gunzipSync(bytes('base64 segment 1')).toString(), `${frames.slice(1).join('\n')}\n`);

  const summary = Buffer.from(block(FORMAT, 'json summary'));
  const [named] = manifests.filter((manifest) => manifest.kind === 'summary');
  assert.equal(named?.sha256, sha256(summary));
  assert.equal(readSummary(summary)?.frames, frames.length);

  const verifierKey = block(FORMAT, 'text key').trim();
  const ledger = /^verbatim\/([^+]+)/.exec(verifierKey)?.[1] ?? '';
  const verifier = createLedgerVerifier({ ledger, verifierKey });
  for (const number of [0, 1]) {
    verifier.entries(number, Buffer.from(entries[number] ?? ''));
    verifier.checkpoint(number, Buffer.from(block(FORMAT, `text checkpoint ${number}`)));
  }
  assert.equal(verifier.size, manifests.length);
  assert.ok(read(FORMAT).includes(leafHash(Buffer.from(linesOf(entries[0] ?? '')[0] ?? '')).toString('hex')));

  const body = frames.map((line) => JSON.parse(line)).find(({ type }) => type === 'request');
  assert.equal(pieceBytes(body.body).length, body.bytes);
});

test('codes of verification', () => {
  const reading = sources('gateway/recording/read*.ts');
  const codes = [
    ...found(read('gateway/ledger/verification-error.ts'), /^ {2}\| '([a-z_]+)'/gm),
    ...found(reading, /\bcode: '([a-z_]+)'/g),
    ...found(reading, /\bproblem\('([a-z_]+)'/g),
  ];
  assert.deepEqual(sorted(rows(FORMAT, 'What verification finds').flatMap(([cell]) => names(cell))), sorted(codes));
});

const OPERATIONS = 'docs/operations.md';

test('error codes with their numbers', () => {
  const codes = found(read('gateway/errors.ts'), /^ {2}([a-z_]+): \{/gm);
  assert.ok(codes.size > 30);
  const expected = [...codes].map((code) => {
    const { rpc, http, httpAlways } = new GatewayError(code as ErrorCode).entry;
    return `${code} ${rpc} ${http}${httpAlways === true ? ' always' : ''}`;
  });
  const documented = rows(OPERATIONS, 'Error codes').map(([code, rpc, http]) => `${names(code)[0]} ${rpc} ${http}`);
  assert.deepEqual(sorted(documented), sorted(expected));
});

test('metrics', () => {
  const documented = rows(OPERATIONS, 'Metrics').flatMap(([cell]) => names(cell));
  assert.deepEqual(sorted(documented), sorted(found(read('gateway/metrics.ts'), /'(verbatim_[a-z_]+)'/g)));
});

test('alerts: each metric of the rules is one that there is, and each alert says what to do', async () => {
  const none = (): number => 0;
  const pressure = { level: none, capacity: none, free: none, missing: none };
  const gauges = { sessions: none, strands: none, calls: none, journalBytes: none, oldestUnsealed: none };
  const metrics = createMetrics({ ...gauges, clockOffset: none, refusing: () => false, pressure });
  metrics.commit(1);
  const series = found(await metrics.text(), /^([a-z_]+)(?=[ {])/gm);
  const rules = parse(read('docs/alerts/verbatim.rules.yaml')) as {
    groups: {
      rules: { alert: string; expr: string; labels: { severity: string }; annotations: { summary: string } }[];
    }[];
  };
  const alerts = rules.groups.flatMap((group) => group.rules);
  for (const { alert, expr, labels, annotations } of alerts) {
    const named = found(expr, /\b((?:verbatim|process|nodejs)_[a-z_]+)/g);
    for (const name of named) {
      const known = series.has(name) || found(await metrics.text(), /^# TYPE ([a-z_]+)/gm).has(name);
      assert.ok(known, `${alert}: ${name}`);
    }
    assert.match(labels.severity, /^(warning|critical)$/);
    assert.ok(annotations.summary.includes('$labels.instance'));
  }
  const told = rows(OPERATIONS, 'Alerts').flatMap(([cell]) => names(cell));
  assert.deepEqual(sorted(told), sorted(alerts.map(({ alert }) => alert)));
});

test('log events with their severities, and events in recordings', () => {
  const code = sources('gateway/**/*.ts');
  const severities: Record<string, string> = { info: 'INFO', warn: 'WARNING', error: 'ERROR' };
  const documented = new Map(
    rows(OPERATIONS, 'Log events').flatMap(([cell, severity = '']) => names(cell).map((name) => [name, severity])),
  );
  const logged = [...found(code, /\bevent: '([a-z_]+)'/g), ...onAndOff(code, 'recording_')];
  assert.deepEqual(sorted(documented.keys()), sorted(logged));
  for (const [, level = '', name = ''] of code.matchAll(/\blog\.(\w+)\(\s*\{\s*event: '([a-z_]+)'/g)) {
    assert.equal(documented.get(name), severities[level], name);
  }
  const recorded = [
    ...found(code, /\b(?:event|announce)\(\s*'([a-z._]+)'/g),
    ...found(code, /\bevent: \{ name: '([a-z._]+)'/g),
    ...onAndOff(code, 'recording.'),
    ...found(code, /\battempt\(binding, \{ event: '([a-z_]+)'/g),
  ];
  const events = rows(OPERATIONS, 'Events in recordings').flatMap(([cell]) => names(cell));
  assert.deepEqual(sorted(events), sorted(recorded));
});

test('why logins are refused', () => {
  const code = sources('gateway/identity/**/*.ts');
  const [, codes = ''] = /^export type LoginRefusal =([^;]+);/m.exec(code) ?? [];
  // What nobody is in is counted by address: it is no event of its own.
  const known = [...found(codes, /'([a-z_]+)'/g)].filter((name) => name !== 'login_over');
  const tables = [
    ...found(code, /\brefused\(\{[^}]*\breason: '([a-z_]+)'/g),
    ...found(code, /\brecord\('([a-z_]+)'\)/g),
    ...known,
  ];
  const documented = rows(OPERATIONS, 'Refused logins').flatMap(([cell]) => names(cell));
  assert.deepEqual(sorted(documented), sorted([...tables, 'login.refused']));
});

/** The one name that is put together: `recording_on`, `recording_off`. */
function onAndOff(code: string, prefix: string): string[] {
  assert.ok(code.includes(`\`${prefix}\${recording}\``));
  return [`${prefix}on`, `${prefix}off`];
}

const cli = (...args: string[]) =>
  run(process.execPath, ['--disable-warning=ExperimentalWarning', 'gateway/cli/bin.js', ...args], { cwd: root });

test('documented commands and their options exist', async () => {
  const used = pages.flatMap((page) =>
    read(page)
      .replaceAll('\\\n', '')
      .split('\n')
      .flatMap((line) => {
        const [, command = ''] =
          /npx verbatim ((?:config |connection |policy |approvals |access )?[a-z][a-z-]*)/.exec(line) ?? [];
        // In a table the options of a command stand in the rest of its row.
        const [, rest = ''] = line.split('npx verbatim ');
        const part = line.startsWith('| `npx') ? rest : (rest.split(/[)`|]/)[0] ?? '');
        return command === '' ? [] : [{ page, command, options: part.match(/--[a-z][a-z-]+/g) ?? [] }];
      }),
  );
  const commands = sorted(used.map(({ command }) => command));
  assert.ok(commands.length >= 8);
  const helps = new Map(
    await Promise.all(
      commands.map(async (command) => [command, (await cli(...command.split(' '), '--help')).stdout] as const),
    ),
  );
  for (const { page, command, options } of used) {
    const help = helps.get(command) ?? '';
    assert.ok(help.startsWith(`Usage: verbatim ${command}`), `${page}: ${command}`);
    for (const option of options) assert.match(help, new RegExp(`${option}\\b`), `${page}: ${command} ${option}`);
  }
});

async function shell(command: string, cwd: string): Promise<string> {
  const { stdout } = await run('bash', ['-o', 'pipefail', '-c', command], { cwd });
  return stdout.trim();
}

test('what the documents show of a store works on the store of the demo', async (t) => {
  // Where the demo puts it in a checkout: the commands of the README are run as they stand.
  const data = join(folder, '.verbatim', 'demo');
  await cli('demo', '--once', '--json', '--port', '0', '--data-dir', data);
  const store = join(data, 'store');
  const reading = rows('README.md', 'Read a recording').map(([cell]) => names(cell)[0]?.split(' ').slice(2) ?? []);
  const ending = reading.filter(([command]) => command !== 'tail');
  assert.deepEqual(sorted(ending.map(([command = '']) => command)), ['sessions', 'show', 'verify']);
  for (const { stdout } of await Promise.all(ending.map((args) => cli(...args, '--store', `file://${store}`)))) {
    assert.ok(stdout.length > 100);
  }

  const tools = await Promise.all(
    ['jq', 'gzip', 'sha256sum', 'od'].map((tool) => shell(`command -v ${tool}`, root).catch(() => undefined)),
  );
  if (tools.includes(undefined) && process.env.VERBATIM_REQUIRE_TOOLS !== '1')
    return t.skip('no jq, gzip, sha256sum or od');
  const zcat = blocks('README.md').filter(({ text }) => text.startsWith('(cd .verbatim/demo/store &&'));
  assert.equal(zcat.length, 1);
  const [hash = [], leaf = [], views = []] = blocks(FORMAT)
    .filter(({ info }) => info === 'sh run')
    .map(({ text }) => linesOf(text));
  const output = (lines: readonly string[]): Promise<string[]> => Promise.all(lines.map((line) => shell(line, store)));
  const [digest = '', manifests = ''] = await output(hash);
  assert.ok(digest.length === 64 && manifests.includes(`${digest}  recordings/`));
  const [leafDigest, signed] = await output(leaf);
  assert.equal(leafDigest, signed);
  const listed = await Promise.all(zcat.map(({ text }) => shell(text, folder)));
  const shown = [...listed, ...(await output(views))];
  // The last one shows heartbeats and gaps, and a demo that ran for a second has neither.
  assert.ok(shown.length > 4 && shown.slice(0, -1).every((text) => text !== ''));
});
